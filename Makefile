# Two commands do everything: `make demo` and `make test`. Each does its own set-up.

GUESTS = target/wasm32-wasip2/guest

.PHONY: demo test soak bench guest-target examples

# Of `make soak`.
SECONDS = 600

# Of `make bench`: which tables (all, or some of hello,bodies,mixed,cold,neighbours,calls,density), how often, and what
# the runtime is held against.
ONLY =
ROUNDS = 5
BENCH = target/bench
WASMTIME = 48.0.8

## Build everything, start the runtime on loopback and print what to try.
demo: examples
	cargo build --locked -p webtask-host
	target/debug/webtask demo --examples $(GUESTS)

## The whole test suite.
test: guest-target
	cargo test --locked

## Ten minutes of everything hostile against one server, beside a polite tenant: `make soak SECONDS=60` for one.
soak: guest-target
	cargo build --locked -p webtask-host
	cargo bench --locked --profile dev -p webtask-tests --bench soak -- --seconds $(SECONDS)

## Tables of what everything costs, as docs/performance.md has them: `make bench ONLY=hello ROUNDS=3` for some of them.
bench: guest-target $(BENCH)/wasmtime/bin/wasmtime
	rustc="$$(guest-sdk/toolchain.sh)" && export RUSTC="$$rustc" && \
	cargo build --locked --profile guest --target wasm32-wasip2 --target-dir $(BENCH)/p2 \
		-p webtask-examples -p webtask-test-guests && \
	cargo build --locked --profile guest --target wasm32-wasip2 --target-dir $(BENCH)/p3 \
		-p webtask-examples -p webtask-test-guests \
		--no-default-features --features webtask-test-guests/p3,webtask-examples/p3
	cargo build --locked --release -p webtask-host -p webtask-bench
	target/release/webtask-bench --rounds $(ROUNDS) $(if $(ONLY),--only $(ONLY))

# Takes some minutes, once. Without it its rows are left out.
$(BENCH)/wasmtime/bin/wasmtime:
	mkdir -p $(BENCH)
	-nice cargo install wasmtime-cli --version $(WASMTIME) --locked --root $(BENCH)/wasmtime --target-dir $(BENCH)/wasmtime-build \
		--no-default-features --features run,serve,wasi-config,pooling-allocator,parallel-compilation,cranelift,component-model,component-model-async,clap/default

## Print the compiler that makes WebAssembly components, installing the target if it is missing.
guest-target:
	@guest-sdk/toolchain.sh

examples:
	rustc="$$(guest-sdk/toolchain.sh)" && RUSTC="$$rustc" cargo build --locked --profile guest --target wasm32-wasip2 -p webtask-examples
