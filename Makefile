# Thin on purpose: the work is in tools/, where it can be linted and run alone.
.DEFAULT_GOAL := help
.PHONY: help demo deps test test-lakefs soak lint bench bench-continuous docs audit clean
MAKEFLAGS += --no-print-directory

help:
	@echo 'make demo    show an export, a commit more and a run with nothing to do, on a server of its own'
	@echo 'make test    everything that CI asks for: lints, tests, documentation'
	@echo 'make test-lakefs LAKEFS=PATH    the lakeFS tests on the real server at PATH instead of the stand-in'
	@echo 'make soak MINUTES=N [SEED=S]    commits, kills and store faults for N minutes; then bucket and trees are compared'
	@echo 'make lint    format, clippy, scripts'
	@echo 'make bench   the benches, then lakesync beside s5cmd, rclone and aws (long; PEERS="--only many" for a part)'
	@echo 'make bench-continuous    from commit to success, and a thousand idle exports (ARGS="--only idle" for a part)'
	@echo 'make docs    the documentation of the library, into target/doc'
	@echo 'make audit   bans, licences and sources of the dependencies'
	@echo 'make deps    install the Debian packages that the tests need (as root)'
	@echo 'make clean   remove what was built and the test servers'

demo:
	@tools/demo.sh

deps:
	@tools/deps.sh

test:
	@tools/test.sh

test-lakefs:
	@LAKEFS='$(LAKEFS)' tools/test-lakefs.sh

soak:
	@tools/soak.sh '$(MINUTES)' '$(SEED)'

lint:
	@tools/lint.sh

bench:
	@tools/bench.sh $(PEERS)

bench-continuous:
	@tools/bench-continuous.sh $(ARGS)

docs:
	@tools/docs.sh

audit:
	@tools/audit.sh

clean:
	rm -rf target .servers
