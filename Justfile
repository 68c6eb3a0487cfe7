# Recipes of mediakeep. Run them as ./just RECIPE; `./just` alone lists them.

export MEDIAKEEP_BIN := justfile_directory() / "target/debug/mediakeep"

_default:
    @just --list --unsorted

# Start one node with fresh data and a short real clip that plays at once
run: setup console
    cargo build --locked --workspace
    setup/run.sh

# Start several nodes on this machine (three sites by default)
cluster nodes="3": setup console
    cargo build --locked --workspace
    "$MEDIAKEEP_BIN" dev --nodes {{nodes}} --dir "$(mktemp -d)"

# Run every test group: build, unit, sim, browser, corpus, kills; or only those named
test *groups:
    tests/groups.sh {{groups}}

# Run so many simulated worlds, each from its own seed, beginning with FIRST
sim seeds="20000" first="1":
    MEDIAKEEP_SIM_SEEDS={{seeds}} MEDIAKEEP_SIM_FIRST={{first}} cargo nextest run --workspace --locked --profile long --test sim --no-capture no_world_breaks_a_promise

# Three real nodes under load and faults by seed for so many minutes, and then whole again; repeat what failed with its SEED
soak minutes="60" seed="":
    MEDIAKEEP_SOAK_MINUTES={{minutes}} {{ if seed == "" { "" } else { "MEDIAKEEP_SOAK_SEED=" + seed } }} \
        cargo nextest run --workspace --locked --profile long --test soak --no-capture -E 'test(lose_nothing_and_leave_nothing_behind)'

# What takes longer than the gate allows: many seeds, a thousand kills, long fuzzing
test-long: setup console
    MEDIAKEEP_LONG=1 MEDIAKEEP_FAILOVERS=20 MEDIAKEEP_ROUNDS=1000 MEDIAKEEP_FLOOD_SECONDS=10 MEDIAKEEP_ORACLE_SAMPLES=2000 MEDIAKEEP_MUTATION_SECONDS=200 PROPTEST_CASES=20000 \
        cargo nextest run --profile long --workspace --locked -E 'all()' --no-fail-fast

# Build for FIPS 140-3 into target/fips (installs CMake, Go and clang), and check that a real node speaks nothing else
fips: setup console
    setup/fips.sh
    nice cargo nextest run -p node --locked --features fips --target-dir target/fips --test fips
    command -v cargo-deny >/dev/null || cargo install --quiet --locked cargo-deny
    cargo deny --locked --features node/fips check bans licenses sources

# Fuzz every parser that meets the network or an untrusted file, SECONDS each (installs cargo-fuzz), or only those named
fuzz seconds="60" *targets: setup
    fuzz/run.sh {{seconds}} {{targets}}

# Attack one real node with testssl.sh, sslyze, schemathesis, sqlmap and the rules of Observatory (installs them)
security *checks: setup console
    cargo build --locked --workspace
    tests/security/run.sh {{checks}}

# Check without changing anything: format, lints, documentation, licences, console
verify: setup console
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings
    RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" cargo doc --workspace --no-deps --locked --quiet --document-private-items
    command -v cargo-deny >/dev/null || cargo install --quiet --locked cargo-deny
    cargo deny --locked check bans licenses sources
    npm --prefix node/console run --silent check

# Rewrite what verify would complain about, and bless the generated files
fix: setup
    cargo fmt --all
    cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged
    npm --prefix node/console run --silent fix
    BLESS=1 cargo nextest run --workspace -E 'test(bless)'

# Measure against peers, side by side; writes target/bench/summary.json
bench *args: setup console
    setup/bench.sh {{args}}

# Build the console into node/console/dist
console: setup
    @setup/console.sh

# Build the bootable image (not built yet: see image/README.md)
image:
    @cat image/README.md && false

# Install what building and testing need on Debian 12; safe to repeat
setup:
    @setup/setup.sh
