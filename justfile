# `just verify` changes nothing and says whether all is well; `just fix` mends what a tool can mend.

set shell := ["bash", "-euo", "pipefail", "-c"]

verify: format clippy test table doc deny

format:
    cargo fmt --all --check

clippy:
    cargo clippy --workspace --all-targets --locked -- -D warnings

test:
    cargo test --workspace --locked

# What came of each check in each case of the tests that were run last.
table:
    @printf '| type | case | outcome |\n| --- | --- | --- |\n'
    @sort -u "${CARGO_TARGET_DIR:-target}/tmp/checks-table"

doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

# Advisories need the network's database: `cargo deny check advisories`.
deny:
    cargo deny --locked check bans licenses sources

fix:
    cargo fmt --all
    cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged
