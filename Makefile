# SPDX-License-Identifier: MIT
# make            build/wsp and build/ws_echo
# make run        a server and a client on this machine, ready to try
# make test       every kind of test, small; make test-long: the full figures
# make help       all targets

BUILD ?= build
CC ?= cc
PREFIX ?= /usr/local
# That of the packages which vendor/install installs, not another one in PATH.
PYTHON ?= $(firstword $(wildcard /usr/bin/python3) python3)
ifeq ($(origin CC),default)
CC := cc
endif
ifeq (,$(filter -j%,$(MAKEFLAGS)))
MAKEFLAGS += -j$(shell nproc)
endif
MAKEFLAGS += --no-print-directory

# Objects of other flags live elsewhere: build/, build/san/, build/tsan/,
# build/fuzz/, build/cov/.
O := $(BUILD)
HARDEN := -fPIE -fstack-protector-strong -D_FORTIFY_SOURCE=2 \
	-fstack-clash-protection
OPT ?= -O2 -g
LDHARDEN := -pie -Wl,-z,relro,-z,now,-z,noexecstack
ifdef SANITIZE
O := $(BUILD)/san
OPT := -O1 -g -fno-omit-frame-pointer
HARDEN := -fsanitize=address,undefined -fno-sanitize-recover=undefined
LDHARDEN := -fsanitize=address,undefined
endif
ifdef TSAN
O := $(BUILD)/tsan
OPT := -O1 -g -fno-omit-frame-pointer
HARDEN := -fsanitize=thread
LDHARDEN := -fsanitize=thread
# Threads allocate before ThreadSanitizer knows them; its calloc() can bear it.
CPPFLAGS += -DLIBC_CALLOC
endif
ifdef COVERAGE
O := $(BUILD)/cov
OPT := -O0 -g
HARDEN := --coverage -fprofile-update=atomic
# the weak symbol that core/sandbox.c asks for is in an archive
LDHARDEN := --coverage -Wl,-u,__gcov_dump
endif
ifdef FUZZ
CC := clang
O := $(BUILD)/fuzz
OPT := -O1 -g -fno-omit-frame-pointer
HARDEN := -fsanitize=fuzzer-no-link,address,undefined \
	-fno-sanitize-recover=undefined
LDHARDEN := -fsanitize=fuzzer,address,undefined
endif

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wpointer-arith -Wvla -Wformat=2
ifdef WERROR
WARN += -Werror
endif

# Where the libraries are: vendor/find.sh says, or what is missing.
CLEAN := $(filter clean help format,$(MAKECMDGOALS))
ifeq (,$(CLEAN))
$(shell mkdir -p $(O) $(BUILD))
FOUND := $(shell CC='$(CC)' sh vendor/find.sh > $(O)/libs.mk && echo yes)
ifneq ($(FOUND),yes)
$(error a library is missing, see above)
endif
include $(O)/libs.mk
# Flags that not every compiler knows.
has = $(shell $(CC) -Werror $(1) -x c -fsyntax-only /dev/null 2>/dev/null && echo $(1))
ifeq (,$(SANITIZE)$(TSAN)$(FUZZ)$(COVERAGE))
HARDEN += $(call has,-fcf-protection) $(call has,-ftrivial-auto-var-init=zero)
endif
endif

# Nothing can be loaded into what is linked statically, and its libc's calloc()
# is the only one.
ifneq (,$(filter -static%,$(LDFLAGS)))
GCM_CFLAGS := -DLIBC_CALLOC
endif

CPPFLAGS += -D_GNU_SOURCE -I. -I$(O)/gen
ALL_CFLAGS = -std=c11 $(OPT) $(WARN) $(HARDEN) $(LIB_CFLAGS) $(GCM_CFLAGS) $(CFLAGS)

SRC := $(wildcard proto/*.c core/*.c modes/*.c)
OBJ := $(SRC:%.c=$(O)/%.o) $(O)/gen/wsp.pb.o
TOOLS := $(patsubst test/tools/%.c,$(O)/%,$(wildcard test/tools/*.c))
UNIT := $(patsubst test/unit/%.c,$(O)/unit/%,$(wildcard test/unit/*.c))
BENCHES := $(O)/bench/load $(O)/bench/relay
SIMS := $(patsubst test/sim/%.c,$(O)/sim/%,$(wildcard test/sim/*.c))
FUZZ_TARGETS := $(patsubst test/fuzz/%.c,%,$(wildcard test/fuzz/*.c))
FUZZERS := $(FUZZ_TARGETS:%=$(O)/%)
REPLAYS := $(FUZZ_TARGETS:%=$(O)/replay/%)
ifneq ($(LLHTTP_DIR),)
OBJ += $(O)/llhttp/api.o $(O)/llhttp/http.o $(O)/llhttp/llhttp.o
endif

.PHONY: all run test test-long interop tests fuzzers replays fuzz fuzz-coverage \
	coverage lint analyze valgrind format docs install \
	mutants bench clean help
.DELETE_ON_ERROR:
.SECONDARY:

all: $(O)/wsp $(TOOLS)

# make V=1 shows the commands.
ifndef V
Q = @echo '  $(1) $@';
endif

# The flags are a file that changes when they do: everything depends on it.
FLAGS := $(CC) $(ALL_CFLAGS) $(LDHARDEN) $(LDFLAGS) $(LIBS)
ifeq (,$(CLEAN))
ifneq ($(FLAGS),$(shell cat $(O)/flags 2>/dev/null))
$(file >$(O)/flags,$(FLAGS))
endif
endif

$(O)/gen/wsp.pb.c: proto/wsp.proto proto/wsp.options
	@mkdir -p $(@D)
	$(call Q,GEN)$(NANOPB) -q -I proto -D $(@D) proto/wsp.proto

$(O)/gen/wsp.pb.h: $(O)/gen/wsp.pb.c ;

$(O)/gen/%.o: $(O)/gen/%.c $(O)/flags
	$(call Q,CC )$(CC) $(CPPFLAGS) $(filter-out $(WARN),$(ALL_CFLAGS)) -c $< -o $@

$(O)/llhttp/%.o: $(LLHTTP_DIR)/%.c $(O)/flags
	@mkdir -p $(@D)
	$(call Q,CC )$(CC) $(CPPFLAGS) $(filter-out $(WARN),$(ALL_CFLAGS)) -w -c $< -o $@

$(O)/proto/%.o: ALL_CFLAGS += -Wconversion
$(O)/%.o: %.c $(O)/flags | $(O)/gen/wsp.pb.h
	@mkdir -p $(@D)
	$(call Q,CC )$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

LINK = $(CC) $(OPT) $(HARDEN) $(CFLAGS) $(LDHARDEN) $(LDFLAGS) \
	$(filter %.o,$^) $(LIBS)

$(O)/wsp: $(O)/wsp.o $(OBJ)
	$(call Q,LD )$(LINK) -o $@
$(O)/%: $(O)/test/tools/%.o $(OBJ)
	$(call Q,LD )$(LINK) -o $@
$(O)/hostile: $(O)/test/bench/flow.o
$(O)/unit/%: $(O)/test/unit/%.o $(OBJ)
	@mkdir -p $(@D)
	$(call Q,LD )$(LINK) -lcmocka -o $@
$(O)/sim/%: $(O)/test/sim/%.o $(OBJ)
	@mkdir -p $(@D)
	$(call Q,LD )$(LINK) -o $@
$(O)/fuzz_%: $(O)/test/fuzz/fuzz_%.o $(OBJ)
	$(call Q,LD )$(LINK) -o $@
$(O)/replay/%: $(O)/test/fuzz/%.o $(O)/test/lib/replay.o $(OBJ)
	@mkdir -p $(@D)
	$(call Q,LD )$(LINK) -o $@

# What measures knows nothing of what it measures.
$(O)/bench/load: $(patsubst %,$(O)/test/bench/%.o,load bulk duplex flow slots target way)
$(O)/bench/relay: $(patsubst %,$(O)/test/bench/%.o,relay flow)
$(BENCHES):
	@mkdir -p $(@D)
	$(call Q,LD )$(CC) $(OPT) $(HARDEN) $(LDHARDEN) $(LDFLAGS) $^ -pthread -o $@

# Loaded into the program by tests: always plain, whatever the program is.
$(BUILD)/fault.so: test/lib/fault.c test/lib/fault_alloc.c test/lib/fault.h
	$(call Q,LD )$(CC) -std=c11 -O2 -g $(WARN) -D_GNU_SOURCE -I. -fPIC -shared \
		-fno-builtin $(filter %.c,$^) -ldl -o $@

-include $(wildcard $(O)/*.d $(O)/*/*.d $(O)/*/*/*.d)

# What the runner of the tests asks for.
tests: all $(UNIT) $(SIMS) $(BENCHES) $(BUILD)/fault.so
fuzzers: $(FUZZERS)
replays: $(REPLAYS)

run: all
	@$(PYTHON) test/lib/try.py --wsp $(O)/wsp $(if $(LISTEN),--listen $(LISTEN)) \
		$(if $(SOCKS),--socks $(SOCKS)) $(if $(HTTP),--http $(HTTP))

test:
	@sh vendor/install test
	@$(if $(WERROR),WERROR=1) $(PYTHON) test/run $(if $(SANITIZE),--sanitize)
test-long:
	@sh vendor/install test
	@WSP_TEST_LONG=1 $(if $(N),WSP_TEST_N=$(N)) $(PYTHON) test/run --long

interop: tests
	@WSP_BIN=$(CURDIR)/$(O)/wsp WSP_ECHO_BIN=$(CURDIR)/$(O)/ws_echo \
		$(if $(N),WSP_TEST_LONG=1 WSP_TEST_N=$(N)) GOWSP=$(abspath $(GOWSP)) \
		$(PYTHON) -m pytest -q test/interop

# From what earlier runs have found, and the seeds. A target may have words of
# its own.
SECS ?= 60
fuzz:
	@$(MAKE) FUZZ=1 fuzzers
	@$(PYTHON) test/fuzz/seeds.py $(BUILD)/seeds
	@for f in $(FUZZ_TARGETS); do \
		echo "== $$f"; mkdir -p $(BUILD)/corpus/$$f; \
		$(BUILD)/fuzz/$$f -artifact_prefix=$(BUILD)/ -max_total_time=$(SECS) -rss_limit_mb=1024 \
			-dict=$$(ls test/fuzz/$$f.dict 2>/dev/null || echo test/fuzz/tokens.dict) \
			-print_final_stats=1 -verbosity=0 $(BUILD)/corpus/$$f \
			$$(ls -d test/fuzz/seeds/$$f $(BUILD)/seeds/$$f 2>/dev/null) || exit 1; done

# Which lines of its parser has each target reached, from the corpus in build/?
fuzz-coverage:
	@$(MAKE) COVERAGE=1 BUILD=$(BUILD)/replay replays
	@$(PYTHON) test/fuzz/seeds.py $(BUILD)/seeds
	@$(PYTHON) test/coverage.py --fuzz
coverage:
	@sh vendor/install test
	@$(MAKE) COVERAGE=1 tests
	@$(PYTHON) test/coverage.py

lint:
	@sh test/lint.sh
valgrind: tests
	@$(PYTHON) test/valgrind.py
analyze: all
	@$(PYTHON) test/analyze.py $(O)/gen $(LIB_CFLAGS) $(GCM_CFLAGS)
format:
	clang-format -i $(wildcard *.c */*.[ch] test/*/*.[ch])
docs: all
	$(O)/wsp help markdown > docs/options.md
	$(O)/wsp help man > docs/wsp.1
mutants:
	@$(PYTHON) test/mutants.py
bench: all $(BENCHES)
	@$(PYTHON) test/bench/bench.py --wsp $(O)/wsp $(BENCH)

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1 \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions \
		$(DESTDIR)$(PREFIX)/share/zsh/site-functions \
		$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d \
		$(DESTDIR)$(PREFIX)/lib/systemd/system
	install -s -m 755 $(O)/wsp $(DESTDIR)$(PREFIX)/bin/wsp
	install -m 644 docs/wsp.1 $(DESTDIR)$(PREFIX)/share/man/man1/wsp.1
	$(O)/wsp completion bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/wsp
	$(O)/wsp completion zsh > $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_wsp
	$(O)/wsp completion fish > $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/wsp.fish
	@for unit in wsp.service wsp-client@.service; do \
		sed 's|/usr/local/bin/|$(PREFIX)/bin/|' docs/$$unit \
		> $(DESTDIR)$(PREFIX)/lib/systemd/system/$$unit || exit 1; done

clean:
	rm -rf $(BUILD)

help:
	@echo 'make              build build/wsp and build/ws_echo (CC=clang, WERROR=1)'
	@echo 'make run          server and client on this machine, ready to try'
	@echo 'make test         every kind of test (SANITIZE=1: with sanitizers only)'
	@echo 'make test-long    the full figures (N=...)'
	@echo 'make interop GOWSP=DIR [N=...]  the same peers as the real wspc and wsps in DIR'
	@echo 'make fuzz         each fuzz target for SECS (60) seconds'
	@echo 'make fuzz-coverage coverage    the lines that these, or the other tests, reach'
	@echo 'make mutants      do the tests notice faults?'
	@echo 'make bench        speed and memory beside rivals (BENCH="--quick --rows down1")'
	@echo 'make valgrind     memcheck on unit tests and some end-to-end tests'
	@echo 'make analyze      gcc -fanalyzer, clang --analyze, clang-tidy'
	@echo 'make lint format docs install (DESTDIR, PREFIX) clean'
