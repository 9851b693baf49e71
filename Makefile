# SPDX-License-Identifier: MIT
# make            build/wsp and build/ws_echo
# make run        a server and a client on this machine, ready to try
# make test       every kind of test, small; make test-long: the full figures
# make help       all targets

BUILD ?= build
CC ?= cc
PREFIX ?= /usr/local
ifeq ($(origin CC),default)
CC := cc
endif
ifeq (,$(filter -j%,$(MAKEFLAGS)))
MAKEFLAGS += -j$(shell nproc)
endif
MAKEFLAGS += --no-print-directory

# Objects of other flags live elsewhere: build/, build/san/, build/fuzz/.
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
ifndef SANITIZE
ifndef FUZZ
HARDEN += $(call has,-fcf-protection) $(call has,-ftrivial-auto-var-init=zero)
endif
endif
endif

CPPFLAGS += -D_GNU_SOURCE -I. -I$(O)/gen
ALL_CFLAGS = -std=c11 $(OPT) $(WARN) $(HARDEN) $(LIB_CFLAGS) $(CFLAGS)

SRC := $(wildcard proto/*.c core/*.c modes/*.c)
OBJ := $(SRC:%.c=$(O)/%.o) $(O)/gen/wsp.pb.o
TOOLS := $(patsubst test/tools/%.c,$(O)/%,$(wildcard test/tools/*.c))
UNIT := $(patsubst test/unit/%.c,$(O)/unit/%,$(wildcard test/unit/*.c))
SIMS := $(patsubst test/sim/%.c,$(O)/sim/%,$(wildcard test/sim/*.c))
FUZZERS := $(patsubst test/fuzz/%.c,$(O)/%,$(wildcard test/fuzz/*.c))
ifneq ($(LLHTTP_DIR),)
OBJ += $(O)/llhttp/api.o $(O)/llhttp/http.o $(O)/llhttp/llhttp.o
endif

.PHONY: all run test test-long interop tests fuzzers fuzz lint format docs install \
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
$(O)/unit/%: $(O)/test/unit/%.o $(OBJ)
	@mkdir -p $(@D)
	$(call Q,LD )$(LINK) -lcmocka -o $@
$(O)/sim/%: $(O)/test/sim/%.o $(OBJ)
	@mkdir -p $(@D)
	$(call Q,LD )$(LINK) -o $@
$(O)/fuzz_%: $(O)/test/fuzz/fuzz_%.o $(OBJ)
	$(call Q,LD )$(LINK) -o $@

-include $(wildcard $(O)/*.d $(O)/*/*.d $(O)/*/*/*.d)

# What the runner of the tests asks for.
tests: all $(UNIT) $(SIMS)
fuzzers: $(FUZZERS)

run: all
	@python3 test/lib/try.py --wsp $(O)/wsp $(if $(LISTEN),--listen $(LISTEN)) \
		$(if $(SOCKS),--socks $(SOCKS)) $(if $(HTTP),--http $(HTTP))

test:
	@sh vendor/install test
	@$(if $(WERROR),WERROR=1) python3 test/run $(if $(SANITIZE),--sanitize)
test-long:
	@sh vendor/install test
	@WSP_TEST_LONG=1 $(if $(N),WSP_TEST_N=$(N)) python3 test/run --long

interop: tests
	@WSP_BIN=$(CURDIR)/$(O)/wsp WSP_ECHO_BIN=$(CURDIR)/$(O)/ws_echo \
		$(if $(N),WSP_TEST_LONG=1 WSP_TEST_N=$(N)) GOWSP=$(abspath $(GOWSP)) \
		python3 -m pytest -q test/interop

FUZZ_SECONDS ?= 60
fuzz:
	@$(MAKE) FUZZ=1 fuzzers
	@for f in $(patsubst test/fuzz/%.c,%,$(wildcard test/fuzz/*.c)); do \
		echo "== $$f"; mkdir -p $(BUILD)/corpus/$$f; \
		$(BUILD)/fuzz/$$f -artifact_prefix=$(BUILD)/ -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=1024 \
			-dict=test/fuzz/tokens.dict -print_final_stats=1 -verbosity=0 \
			$(BUILD)/corpus/$$f $$(ls -d test/fuzz/seeds/$$f 2>/dev/null) || exit 1; done

lint:
	@sh test/lint.sh
format:
	clang-format -i $(wildcard *.c */*.[ch] test/*/*.[ch])
docs: all
	$(O)/wsp help markdown > docs/options.md
	$(O)/wsp help man > docs/wsp.1
mutants:
	@python3 test/mutants.py
bench: all
	@python3 test/bench/bench.py

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1 \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions \
		$(DESTDIR)$(PREFIX)/share/zsh/site-functions \
		$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	install -s -m 755 $(O)/wsp $(DESTDIR)$(PREFIX)/bin/wsp
	install -m 644 docs/wsp.1 $(DESTDIR)$(PREFIX)/share/man/man1/wsp.1
	$(O)/wsp completion bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/wsp
	$(O)/wsp completion zsh > $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_wsp
	$(O)/wsp completion fish > $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/wsp.fish

clean:
	rm -rf $(BUILD)

help:
	@echo 'make              build build/wsp and build/ws_echo (CC=clang, WERROR=1)'
	@echo 'make run          server and client on this machine, ready to try'
	@echo 'make test         every kind of test (SANITIZE=1: with sanitizers only)'
	@echo 'make test-long    the full figures (N=...)'
	@echo 'make interop GOWSP=DIR [N=...]  the same peers as the real wspc and wsps in DIR'
	@echo 'make fuzz         each fuzz target for FUZZ_SECONDS (60)'
	@echo 'make mutants      do the tests notice faults?'
	@echo 'make bench        speed and memory, beside rivals that are installed'
	@echo 'make lint format docs install (DESTDIR, PREFIX) clean'
