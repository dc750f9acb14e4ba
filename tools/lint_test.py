#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Plants every violation that tools/lint.py knows into a small project and expects exactly that finding."""

import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import lint

SPDX = "// SPDX-License-Identifier: Apache-2.0\n"
CLEAN = {
    "CMakeLists.txt": "project(cmunet VERSION 0.1.0 LANGUAGES CXX)\n",
    "README.md": "See [the map](HACKING.md#floors), [a site](https://example.org/x) and [below](#below).\n"
                 "Read [on](docs/found.md).\n"
                 "```\n[not a link](nowhere.md)\n```\nNor is `[this](nowhere.md)`.\n",
    "docs/found.md": "[on](deep/too.md#part)\n",
    "docs/deep/too.md": "Found in two steps, and from [below](../../HACKING.md).\n",
    "HACKING.md": "[back](./README.md \"title\")\n\n"
                  "| floor | module | purpose | may include |\n|---|---|---|---|\n"
                  "| 0 | `base` | errors | – |\n| 1 | `image` | pixels | base |\n"
                  "| 2 | `codec` | files | base, image |\n"
                  "| 3 | `dataset` | stores | base, codec |\n| 1T | `nn` | nets | base |\n",
    "src/cmunet/CMakeLists.txt": "set(modules base image)\nif(IMAGING)\n  list(APPEND modules codec)\nendif()\n"
                                 "list(APPEND modules dataset nn)\n",
    "src/cmunet/base/CMakeLists.txt": "# DEPS nothing\ncmunet_module(base\n  HEADERS version.h\n  SOURCES a.cpp)\n",
    "src/cmunet/base/version.h": SPDX + '#pragma once\ninline constexpr const char* kVersion = "0.1.0";\n',
    "src/cmunet/base/a.cpp": SPDX + "#include <fcntl.h>\n#include <sys/stat.h>\n#include <xxhash.h>\n\n"
                                    "#include <vector>\n",
    "src/cmunet/image/CMakeLists.txt": "cmunet_module(image\n  SOURCES b.cpp\n  DEPS base\n  TESTS b_test.cpp\n"
                                       "  TEST_DEPS codec)\n",
    "src/cmunet/image/b.cpp": SPDX + '#include "cmunet/base/version.h"\n// std::cout << is only named here\n'
                                     'const char* kText = "printf(1)";\n',
    "src/cmunet/image/b_test.cpp": SPDX + '#include <gtest/gtest.h>\n\n#include "cmunet/codec/codec.h"\n',
    "src/cmunet/codec/CMakeLists.txt": "cmunet_module(codec SOURCES c.cpp DEPS base image)\n",
    "src/cmunet/codec/c.cpp": SPDX + "#include <png.h>\n",
    "src/cmunet/dataset/CMakeLists.txt": "set(deps base)\nif(IMAGING)\n  list(APPEND deps codec)\nendif()\n"
                                         "cmunet_module(dataset SOURCES d.cpp DEPS ${deps})\n",
    "src/cmunet/dataset/d.cpp": SPDX + '#include "cmunet/base/version.h"\n#include "cmunet/codec/codec.h"\n',
    "src/cmunet/nn/CMakeLists.txt": "cmunet_module(nn TORCH SOURCES n.cpp DEPS base)\n",
    "src/cmunet/nn/n.cpp": SPDX + "#include <torch/torch.h>\n",
    "src/cmunet/cli/CMakeLists.txt": "add_executable(cmunet main.cpp train_main.cpp)\n",
    "src/cmunet/cli/main.cpp": SPDX + '#include <CLI/CLI.hpp>\n#include <cstdio>\n\n#include "cmunet/nn/n.h"\n\n'
                                      'int main() { std::printf("x"); }\n',
    "src/cmunet/cli/train_main.cpp": SPDX + "#include <torch/torch.h>\n",
    "tests/cli_test.cpp": SPDX + '#include <gtest/gtest.h>\n\n#include <nlohmann/json.hpp>\n\n'
                                 '#include "cmunet/nn/n.h"\n',
}

# (what is planted, file, text: appended, or the whole of a new file or a CMakeLists.txt, part of the message)
VIOLATIONS = [
    ("module outside of DEPS", "src/cmunet/base/a.cpp", '#include "cmunet/image/image.h"\n', "not in its DEPS"),
    ("test dependency in a source", "src/cmunet/image/b.cpp", '#include "cmunet/codec/codec.h"\n', "not in its DEPS"),
    ("module outside of DEPS in a test", "src/cmunet/image/b_test.cpp", '#include "cmunet/dataset/d.h"\n',
     "not in its DEPS"),
    ("torch header", "src/cmunet/codec/c.cpp", "#include <ATen/ATen.h>\n", "only TORCH modules"),
    ("torch header in the light program", "src/cmunet/cli/main.cpp", "#include <torch/types.h>\n",
     "only TORCH modules"),
    ("OpenCV", "src/cmunet/image/b.cpp", "#include <opencv2/core.hpp>\n", "allowed only in preprocess/"),
    ("libpng", "src/cmunet/dataset/d.cpp", "#include <png.h>\n", "allowed only in codec/"),
    ("hash library in a header", "src/cmunet/base/version.h", "#include <xxhash.h>\n", "allowed only in base/"),
    ("JSON library", "src/cmunet/image/b.cpp", "#include <nlohmann/json.hpp>\n", "allowed only in base/json"),
    ("command line library", "src/cmunet/base/a.cpp", "#include <CLI/CLI.hpp>\n", "allowed only in cli/"),
    ("Boost", "src/cmunet/base/a.cpp", "#include <boost/math/distributions.hpp>\n", "allowed only in stats/"),
    ("unknown third party", "src/cmunet/base/a.cpp", "#include <curl/curl.h>\n", "does not name"),
    ("test library in a source", "src/cmunet/base/a.cpp", "#include <gtest/gtest.h>\n", "belongs into tests"),
    ("short include", "src/cmunet/base/a.cpp", '#include "version.h"\n', "by its full name"),
    ("torch in a torch-free module", "src/cmunet/dataset/CMakeLists.txt",
     "cmunet_module(dataset SOURCES d.cpp DEPS base codec nn)\n", "not on a lower floor"),
    ("module in no list", "src/cmunet/extra/CMakeLists.txt", "cmunet_module(extra)\n", "not in the list of modules"),
    ("module of another name", "src/cmunet/codec/CMakeLists.txt",
     "cmunet_module(other SOURCES c.cpp)\n", "folder of another name"),
    ("source that is not built", "src/cmunet/base/lost.cpp", SPDX, "neither built nor tested"),
    ("no licence line", "src/cmunet/base/bare.h", "#pragma once\n", "first line must be"),
    ("no include guard", "src/cmunet/base/bare.h", SPDX + "int x();\n", "needs #pragma once"),
    ("long line", "src/cmunet/base/a.cpp", "// " + "x" * 118 + "\n", "121 columns"),
    ("long line in a script", "tools/run.sh", "#" + "x" * 120 + "\n", "121 columns"),
    ("tab", "src/cmunet/base/a.cpp", "\tint x;\n", "a tab"),
    ("unfinished work", "src/cmunet/base/a.cpp", "// TO" + "DO later\n", "unfinished work"),
    ("printing by stream", "src/cmunet/base/a.cpp", 'void f() { std::cout << "x"; }\n', "does not print"),
    ("printing by printf", "src/cmunet/base/a.cpp", 'void f() { std::printf("x"); }\n', "does not print"),
    ("long file", "src/cmunet/base/a.cpp", "//\n" * 500, "at most 500"),
    ("dead link", "HACKING.md", "[gone](docs/gone.md)\n", "leads nowhere"),
    ("page that nobody finds", "docs/lonely.md", "[home](../README.md) and [here](lonely.md)\n", "no way of links"),
    ("dead link with an anchor", "HACKING.md", "[gone](docs/gone.md#part)\n", "leads nowhere"),
    ("empty file name", "src/cmunet/base/string_utils.h", SPDX + "#pragma once\n", "says nothing"),
    ("empty folder name", "src/cmunet/helpers/x.md", "text\n", "says nothing"),
    ("stale map", "src/cmunet/image/CMakeLists.txt", "cmunet_module(image SOURCES b.cpp TESTS b_test.cpp)\n",
     "row of `image` must say that it may include –"),
    ("two versions", "CMakeLists.txt", "project(cmunet VERSION 0.2.0)\n", "kVersion differs"),
]
REPLACED = ("CMakeLists.txt",)


class LintTest(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="cmunet_lint."))
        self.addCleanup(shutil.rmtree, self.folder)
        for name, text in CLEAN.items():
            self.write(name, text)

    def write(self, name, text):
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(text, encoding="utf-8")

    def findings(self, with_format=False):
        return [f"{path}:{line}: {message}" for path, line, message in lint.run(self.folder, with_format)[0]]

    def test_clean_project_has_no_findings(self):
        self.assertEqual(self.findings(), [])

    def test_every_violation_is_found(self):
        for what, name, text, expected in VIOLATIONS:
            with self.subTest(what):
                path = self.folder / name
                before = path.read_text(encoding="utf-8") if path.exists() else None
                self.write(name, text if path.name in REPLACED or before is None else before + text)
                found = self.findings()
                self.assertTrue(any(expected in f for f in found), f"{what}: {found}")
                if before is None:
                    path.unlink()
                else:
                    self.write(name, before)
                self.assertEqual(self.findings(), [], f"after {what}")

    def test_findings_name_the_line(self):
        self.write("src/cmunet/base/a.cpp", CLEAN["src/cmunet/base/a.cpp"] + "#include <curl/curl.h>\n")
        self.assertIn("src/cmunet/base/a.cpp:7:", self.findings()[0])

    def test_built_and_foreign_folders_are_skipped(self):
        self.write("build/x/utils.cpp", "\t")
        self.write("runs/a/utils.h", "\t")
        self.assertEqual(self.findings(), [])

    @unittest.skipUnless(shutil.which("clang-format-14"), "clang-format-14 is not here")
    def test_formatting_is_checked(self):
        shutil.copy(Path(lint.__file__).parent.parent / ".clang-format", self.folder)
        self.write("src/cmunet/base/a.cpp", SPDX + "int  f( int x );\n")
        found = self.findings(with_format=True)
        self.assertEqual(len(found), 1, found)
        self.assertIn("a.cpp:2: not as clang-format-14", found[0])

    def test_the_exit_status_tells(self):
        command = [sys.executable, lint.__file__, "--no-format", "--root", str(self.folder)]
        self.assertEqual(subprocess.run(command, capture_output=True, check=False).returncode, 0)
        self.write("HACKING.md", "[gone](gone.md)\n")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("HACKING.md:1: the link to gone.md leads nowhere", done.stdout)


if __name__ == "__main__":
    unittest.main()
