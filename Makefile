# Two commands do everything: `make demo` and `make test`. Each does its own set-up.

GUESTS = target/wasm32-wasip2/guest

.PHONY: demo test guest-target examples

## Build everything, start the runtime on loopback and print what to try.
demo: examples
	cargo build --locked -p webtask-host
	target/debug/webtask demo --examples $(GUESTS)

## The whole test suite.
test: guest-target
	cargo test --locked

## Print the compiler that makes WebAssembly components, installing the target if it is missing.
guest-target:
	@guest-sdk/toolchain.sh

examples:
	rustc="$$(guest-sdk/toolchain.sh)" && RUSTC="$$rustc" cargo build --locked --profile guest --target wasm32-wasip2 -p webtask-examples
