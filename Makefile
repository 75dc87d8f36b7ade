# Two commands do everything: `make demo` and `make test`. Each does its own set-up.

GUESTS = target/wasm32-wasip2/guest

.PHONY: demo test soak guest-target examples

# Of `make soak`.
SECONDS = 600

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

## Print the compiler that makes WebAssembly components, installing the target if it is missing.
guest-target:
	@guest-sdk/toolchain.sh

examples:
	rustc="$$(guest-sdk/toolchain.sh)" && RUSTC="$$rustc" cargo build --locked --profile guest --target wasm32-wasip2 -p webtask-examples
