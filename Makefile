# make run    installs what is needed, builds and serves         make test   everything that must pass
# make build  leaves build/release/vexfs_server                   make bench  ratios against real peers
# make demo   real texts, two clients, kill -9 in the middle      make crash|sim|fuzz  long forms
# make kernel-test  the kernel device in virtual machines (kernel-test-debug: on a kernel with KASAN and lockdep)
# checked: the release build with its tests, for the long simulations
PRESETS  := dev release checked tsan
ARGS     ?=

.PHONY: run build $(PRESETS) packages test-packages test unit sim api golden lint crash fuzz demo bench bench-payload bench-search kernel-test kernel-test-debug kernel-bench fmt clean

packages:
	@deploy/install-packages build

test-packages:
	@deploy/install-packages build test
	@test/prepare

build: packages
	@$(MAKE) --no-print-directory release

$(PRESETS):
	@mkdir -p build; test -f build/$@/build.ninja || cmake --preset $@ >build/configure-$@.log 2>&1 || { cat build/configure-$@.log; exit 1; }
	@cmake --build build/$@

run: build
	@exec build/release/vexfs_server $(ARGS)

test: test-packages
	@test/run all

unit api golden lint: test-packages
	@test/run $@

crash fuzz sim: test-packages
	@test/run long-$@

kernel-test: test-packages
	@test/run long-kernel

kernel-test-debug: test-packages
	@test/run kernel-debug

kernel-bench: test-packages
	@test/run kernel-bench

demo: build test-packages
	@build/venv/bin/python test/demo/demo.py

bench: build test-packages
	@build/venv/bin/pip install -q --disable-pip-version-check -r bench/requirements.txt
	@build/venv/bin/python bench/run.py $(ARGS)

bench-payload: build test-packages
	@build/venv/bin/pip install -q --disable-pip-version-check -r bench/requirements.txt
	@build/venv/bin/python bench/payload.py $(ARGS)

# ARGS=--quick: small sets, minutes; else 1M vectors
bench-search: build test-packages
	@deploy/install-packages bench
	@build/venv/bin/pip install -q --disable-pip-version-check -r bench/requirements.txt
	@build/venv/bin/python bench/search.py $(ARGS)

fmt:
	@git ls-files -co --exclude-standard '*.c' '*.h' '*.cc' | xargs clang-format -i

clean:
	@rm -rf build
