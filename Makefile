# The front door; the build itself is CMake (CMakePresets.json).
#   make demo          install what is missing, build, make a small data set, train on it, evaluate, write a report
#   make test          install what is missing, build, run every test
#   make lint          floor plan, file heads, links, formatting
#   make check         make test, then sanitizers and clang-tidy
#   make format        write the sources as clang-format 14 does
#   make package       Debian packages of both programs, into build/release/packages
#   make bench         compare the speed with ONNX Runtime (needs node and npm, fetches it) and with Python's PyTorch
#   make install-deps  install what building needs (apt; asks for sudo when you are not root)
#   make clean         remove what was built; runs/ stays
SHELL := /bin/bash
.PHONY: demo build test check lint format docs package bench install-deps clean

demo: build
	build/release/bin/cmunet demo --out runs/demo --force

build: install-deps
	cmake --preset release -DCMUNET_TESTS=OFF
	cmake --build --preset release --parallel $$(tools/build_jobs.sh)

test:
	tools/check.sh

check:
	tools/check.sh --sanitizers

lint:
	python3 tools/lint.py

format:
	clang-format-14 -i $$(find src tests -name '*.h' -o -name '*.cpp')

docs: build
	tools/make_cli_reference.sh build/release/bin/cmunet

install-deps:
	tools/install-deps.sh

package: build
	cd build/release && cpack -G DEB

bench: build
	bench/prediction.sh build/release/bin/cmunet
	cmake --build --preset release --parallel $$(tools/build_jobs.sh) --target train_step block_profile multiply_rates
	python3 bench/train_step.py build/release/bin/train_step --bf16 --out-of-the-box
	python3 bench/train_step.py build/release/bin/train_step --rounds 2 --only cm_unet64
	build/release/bin/block_profile --base-width 16
	build/release/bin/block_profile --base-width 64
	build/release/bin/multiply_rates
	bench/weak_scaling.sh build/release 3
	bench/shared_cores.sh build/release

clean:
	rm -rf build
