#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the rules that a compiler does not: the floor plan, file heads, sizes, names, links, formatting.

    tools/lint.py [--root FOLDER] [--no-format]

Prints one line per finding, "path:line: what is wrong", and ends with status 1 when there is one.
The floor plan is what src/cmunet/<module>/CMakeLists.txt says: a module may include the modules of its DEPS, its
tests also those of TEST_DEPS. Needs Python's standard library alone.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

MAX_COLUMNS = 120
MAX_LINES = 500
SOURCE_ENDINGS = {".h", ".cpp"}
CODE_ENDINGS = SOURCE_ENDINGS | {".py", ".sh", ".cmake"}
SKIPPED_FOLDERS = {".git", "build", "runs", "__pycache__", "node_modules"}
FORBIDDEN_NAMES = {"util", "utils", "helper", "helpers", "common", "manager"}

# Third-party header prefix -> module and the path pattern (inside src/cmunet/) that may include it.
# HACKING.md and THIRD_PARTY.md show the same table to people.
THIRD_PARTY = {
    "opencv2/": r"preprocess/[^/]+\.cpp",
    "png.h": r"codec/[^/]+\.cpp",
    "jpeglib.h": r"codec/[^/]+\.cpp",
    "jerror.h": r"codec/[^/]+\.cpp",
    "tiff.h": r"codec/[^/]+\.cpp",
    "tiffio.h": r"codec/[^/]+\.cpp",
    "dcmtk/": r"(dicom|pacs)/[^/]+\.cpp",
    "openjpeg.h": r"dicom/[^/]+\.cpp",
    "toml++/": r"base/[^/]+\.cpp",
    "xxhash.h": r"base/[^/]+\.cpp",
    "hwy/": r"kernels/[^/]+\.(h|cpp)",
    "onnx/": r"engine/onnx_export(_test)?\.cpp",
    "nlohmann/": r"base/json\.h",
    "boost/": r"stats/[^/]+\.cpp",
    "httplib.h": r"pacs/[^/]+\.cpp",
    "CLI/": r"cli/[^/]+\.(h|cpp)",
}
TORCH_PREFIXES = ("torch/", "ATen/", "c10/")
TEST_PREFIXES = ("gtest/", "gmock/")
# What the compiler and the system bring; every other <…> header is a third party.
SYSTEM_PREFIXES = ("arpa/", "netinet/", "sys/")
SYSTEM_HEADERS = {
    "cpuid.h", "dirent.h", "dlfcn.h", "fcntl.h", "glob.h", "immintrin.h", "malloc.h", "omp.h", "poll.h", "pthread.h",
    "sched.h", "signal.h", "spawn.h", "stdio.h", "stdlib.h", "string.h", "termios.h", "unistd.h",
}
PRINTING = re.compile(r"\b(?:std::c(?:out|err|log)\b|(?:std::)?(?:v?f?printf|f?puts|putchar)\s*\()")
UNFINISHED = re.compile(r"\b(?:TODO|FIXME|XXX)\b")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
COMMENT_OR_TEXT = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.DOTALL)


class Module:
    def __init__(self, name):
        self.name, self.deps, self.test_deps, self.is_torch = name, set(), set(), False


class Lint:
    def __init__(self, root):
        self.root = root
        self.findings = []
        self.files = sorted(self.walk())
        self.sources = [p for p in self.files if p.suffix in SOURCE_ENDINGS]

    def walk(self):
        for folder, names, files in os.walk(self.root):
            names[:] = [n for n in names if n not in SKIPPED_FOLDERS]
            yield from (Path(folder, f).relative_to(self.root) for f in files)

    def report(self, path, line, message):
        self.findings.append((str(path), line, message))

    def text(self, path):
        return (self.root / path).read_text(encoding="utf-8")


def cmake_commands(text):
    """[(command, [words])] of a CMake file, comments left out."""
    text = re.sub(r"#[^\n]*", "", text)
    return [(name.lower(), re.findall(r'"[^"]*"|[^\s"]+', body))
            for name, body in re.findall(r"(\w+)\s*\(([^()]*)\)", text)]


def read_module(text):
    """The cmunet_module() call with its variables filled in. What one branch of an if() adds counts as allowed."""
    variables, module = {}, None
    for command, words in cmake_commands(text):
        expanded = []
        for word in words:
            name = re.fullmatch(r"\$\{(\w+)\}", word)
            expanded += variables.get(name[1], []) if name else [word]
        if command == "set" and words:
            variables.setdefault(words[0], []).extend(expanded[1:])
        elif command == "list" and len(words) > 1 and words[0] == "APPEND":
            variables.setdefault(words[1], []).extend(expanded[2:])
        elif command == "cmunet_module" and expanded:
            module, part = Module(expanded[0]), ""
            for word in expanded[1:]:
                if word == "TORCH":
                    module.is_torch = True
                elif word.isupper():
                    part = word
                elif part == "DEPS":
                    module.deps.add(word)
                elif part == "TEST_DEPS":
                    module.test_deps.add(word)
    return module


def module_order(text):
    """The modules from the lowest floor to the highest, as src/cmunet/CMakeLists.txt adds them."""
    order = []
    for command, words in cmake_commands(text):
        if command == "set" and words[:1] == ["modules"]:
            order += words[1:]
        elif command == "list" and words[:2] == ["APPEND", "modules"]:
            order += words[2:]
    return order


def read_modules(lint):
    modules = {}
    for path in lint.files:
        if path.name == "CMakeLists.txt" and path.parent.parent == Path("src/cmunet"):
            module = read_module(lint.text(path))
            if module is None:
                continue
            if module.name != path.parent.name:
                lint.report(path, 1, f"module '{module.name}' is in a folder of another name")
            modules[module.name] = module
    order_path = Path("src/cmunet/CMakeLists.txt")
    if order_path in lint.files:
        order = module_order(lint.text(order_path))
        for name, module in modules.items():
            if name not in order:
                lint.report(order_path, 1, f"module '{name}' is not in the list of modules")
                continue
            listing = Path("src/cmunet", name, "CMakeLists.txt")
            for dep in sorted(module.deps - set(order[:order.index(name)])):
                lint.report(listing, 1, f"DEPS names '{dep}', which is not on a lower floor")
    return modules


def check_map(lint, modules):
    """The table of HACKING.md, rows | floor | `module` | purpose | may include | …, says what DEPS says."""
    path = Path("HACKING.md")
    if path not in lint.files:
        return
    shown = {}
    for number, line in enumerate(lint.text(path).splitlines(), 1):
        row = re.match(r"\| *\w+ *\| *`(\w+)` *\|[^|]*\|([^|]*)\|", line)
        if row:
            shown[row[1]] = (number, set(re.findall(r"[a-z_]\w*", row[2])))
    for name, module in modules.items():
        number, deps = shown.get(name, (1, None))
        if deps != module.deps:
            listed = ", ".join(sorted(module.deps)) or "–"
            lint.report(path, number, f"the row of `{name}` must say that it may include {listed}")


def check_floor_plan(lint):
    modules = read_modules(lint)
    check_map(lint, modules)
    for path in lint.sources:
        inside = path.parts[2:] if path.parts[:2] == ("src", "cmunet") else ()
        is_test = path.stem.endswith("_test") or path.parts[0] == "tests"
        for number, line in enumerate(lint.text(path).splitlines(), 1):
            include = INCLUDE.match(line)
            if not include:
                continue
            bracket, header = include.groups()
            if header.startswith("cmunet/"):
                if len(inside) == 2:
                    check_own_include(lint, modules, path, number, header, is_test)
            elif bracket == "<":
                check_foreign_include(lint, modules, path, number, header, is_test)
            elif inside:
                lint.report(path, number, f'include "{header}" by its full name, "cmunet/<module>/{header}"')


def check_own_include(lint, modules, path, number, header, is_test):
    owner, target = path.parts[2], header.split("/")[1]
    if owner == "cli" or owner == target or owner not in modules:
        return
    module = modules[owner]
    if target not in module.deps and not (is_test and target in module.test_deps):
        lint.report(path, number, f"module '{owner}' may not include '{target}': it is not in its DEPS")
    if target in modules and modules[target].is_torch and not module.is_torch:
        lint.report(path, number, f"module '{owner}' is torch-free, '{target}' is not")


def check_foreign_include(lint, modules, path, number, header, is_test):
    if "/" not in header and "." not in header or header.startswith(SYSTEM_PREFIXES) or header in SYSTEM_HEADERS:
        return
    inside = "/".join(path.parts[2:]) if path.parts[:2] == ("src", "cmunet") else ""
    if header.startswith(TEST_PREFIXES):
        if not is_test:
            lint.report(path, number, f"<{header}> belongs into tests")
    elif header.startswith(TORCH_PREFIXES):
        owner = modules.get(path.parts[2]) if inside else None
        allowed = not inside or (owner and owner.is_torch) or re.fullmatch(r"cli/train_[^/]+", inside)
        if not allowed:
            lint.report(path, number, f"<{header}>: only TORCH modules and cli/train_* may see LibTorch")
    else:
        prefix = next((p for p in THIRD_PARTY if header.startswith(p)), None)
        if prefix is None:
            lint.report(path, number, f"<{header}> is a third party that the table in tools/lint.py does not name")
        elif inside and not re.fullmatch(THIRD_PARTY[prefix], inside):
            lint.report(path, number, f"<{header}> is allowed only in {THIRD_PARTY[prefix]}")


def check_text(lint):
    for path in lint.files:
        if path.suffix not in CODE_ENDINGS and path.name != "CMakeLists.txt":
            continue
        text = lint.text(path)
        lines = text.splitlines()
        if len(lines) > MAX_LINES:
            lint.report(path, len(lines), f"{len(lines)} lines; at most {MAX_LINES}")
        for number, line in enumerate(lines, 1):
            if len(line) > MAX_COLUMNS:
                lint.report(path, number, f"{len(line)} columns; at most {MAX_COLUMNS}")
            if "\t" in line:
                lint.report(path, number, "a tab; indent with spaces")
            if UNFINISHED.search(line) and path.parts[0] != "tools":
                lint.report(path, number, "unfinished work is not marked in the source")
        if path.suffix in SOURCE_ENDINGS:
            check_source(lint, path, text, lines)


def check_source(lint, path, text, lines):
    if not lines or lines[0] != "// SPDX-License-Identifier: Apache-2.0":
        lint.report(path, 1, "the first line must be // SPDX-License-Identifier: Apache-2.0")
    if path.suffix == ".h" and "#pragma once" not in lines:
        lint.report(path, 1, "a header needs #pragma once")
    may_print = path.parts[:3] == ("src", "cmunet", "cli") or path.parts[0] in ("tests", "bench")
    if may_print or path.stem.endswith("_test"):
        return
    blank = COMMENT_OR_TEXT.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)
    for number, line in enumerate(blank.splitlines(), 1):
        if PRINTING.search(line):
            lint.report(path, number, "the library does not print; use log_info or return the text")


def check_sources_are_built(lint):
    for path in lint.sources:
        if path.parts[:2] != ("src", "cmunet") or path.suffix != ".cpp":
            continue
        listing = path.parent / "CMakeLists.txt"
        words = lint.text(listing).split() if listing in lint.files else []
        if not any(word.strip("()") == path.name for word in words):
            lint.report(path, 1, f"not listed in {listing}: it is neither built nor tested")


def links_of(lint, path):
    """(line, target) of every link of a page to a file, code left out."""
    in_code = False
    for number, line in enumerate(lint.text(path).splitlines(), 1):
        in_code ^= line.lstrip().startswith("```")
        if in_code:
            continue
        for target in LINK.findall(re.sub(r"`[^`]*`", "", line)):
            if not re.match(r"[a-z]+:", target) and not target.startswith("#"):
                yield number, target


def check_links(lint):
    for path in lint.files:
        if path.suffix != ".md":
            continue
        for number, target in links_of(lint, path):
            if not (lint.root / path.parent / target.split("#")[0]).exists():
                lint.report(path, number, f"the link to {target} leads nowhere")


def check_pages_are_found(lint):
    """Whoever begins at README.md reaches every page below docs/ by links."""
    pages = {path for path in lint.files if path.suffix == ".md"}
    found, waiting = set(), [Path("README.md")]
    while waiting:
        page = waiting.pop()
        if page in found or page not in pages:
            continue
        found.add(page)
        waiting += [Path(os.path.normpath(page.parent / target.split("#")[0])) for _, target in links_of(lint, page)]
    for page in sorted(pages - found):
        if page.parts[0] == "docs":
            lint.report(page, 1, "no way of links leads here from README.md")


def check_names(lint):
    seen = set()
    for path in lint.files:
        for depth, part in enumerate(path.parts, 1):
            place = Path(*path.parts[:depth])
            words = re.split(r"[^a-z]+", part.lower().split(".")[0])
            if place not in seen and FORBIDDEN_NAMES & set(words):
                lint.report(place, 1, f"'{part}' says nothing about its content; name the subject")
            seen.add(place)


def check_version(lint):
    cmake, header = Path("CMakeLists.txt"), Path("src/cmunet/base/version.h")
    if cmake not in lint.files or header not in lint.files:
        return
    built = re.search(r"project\(\w+ VERSION ([\d.]+)", lint.text(cmake))
    said = re.search(r'kVersion = "([^"]*)"', lint.text(header))
    if not (built and said and built[1] == said[1]):
        lint.report(header, 1, "kVersion differs from the version in CMakeLists.txt")


def check_format(lint):
    """clang-format 14 alone: other versions break lines in other places."""
    tool = shutil.which("clang-format-14")
    if tool is None:
        print("lint: clang-format-14 is not here, formatting is not checked", file=sys.stderr)
        return

    def complaints(files):
        done = subprocess.run([tool, "--dry-run", "-Werror", "--ferror-limit=1", *map(str, files)], cwd=lint.root,
                              capture_output=True, text=True, check=False)
        return re.findall(r"^(.+?):(\d+):\d+: error:", done.stderr, re.MULTILINE)

    with ThreadPoolExecutor() as pool:
        for found in pool.map(complaints, [lint.sources[i:i + 8] for i in range(0, len(lint.sources), 8)]):
            for name, line in found:
                lint.report(name, int(line), "not as clang-format-14 writes it (make format)")


CHECKS = (check_floor_plan, check_text, check_sources_are_built, check_links, check_pages_are_found, check_names,
          check_version)


def run(root, with_format=True):
    lint = Lint(Path(root).resolve())
    for check in CHECKS:
        check(lint)
    if with_format:
        check_format(lint)
    return sorted(lint.findings), len(lint.files)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--root", default=Path(__file__).resolve().parent.parent)
    parser.add_argument("--no-format", action="store_true", help="leave out clang-format")
    arguments = parser.parse_args()
    findings, count = run(arguments.root, not arguments.no_format)
    for path, line, message in findings:
        print(f"{path}:{line}: {message}")
    print(f"lint: {count} files, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
