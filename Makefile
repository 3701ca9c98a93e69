# The entry point to everything; needs GNU make only, `deps` gets the rest.
#
#   make run       build, and serve on 127.0.0.1:8080 with a Redis of its own
#                  PORT=8080 WORKERS=1 RUNDIR=run REDIS=<url of a Redis>
#                  SWAGGER_UI=build/swagger-ui, where npm puts what /docs/ needs
#   make test      everything: unit tests, fuzz corpora, t/*.t
#                  T=t/foo.t JOBS=2 SANITIZE=1 VALGRIND=1
#   make build     the module; prints its path
#                  NGINX_SRC=<nginx source tree> SANITIZE=1 ECHO=1
#   make unit      unit tests and fuzz corpora alone
#   make fuzz      clang's fuzzer on each parser, FUZZ_TIME=60 seconds each
#   make lint      warnings, cppcheck, include directions, style
#   make bench     the module beside Go, Node, nginx with Lua, nchan and bare C;
#                  SERVERS= WORKLOADS= ROUNDS=3 WORKERS=1, KEEP=1 for the
#                  committed results and README: see bench/compare
#   make bench-units  nanoseconds of the pure rooms
#   make bench-instructions  instructions of an event, and their drift; KEEP=1
#                  adds this commit to bench/instructions.tsv
#   make bench-profile  where the worker's CPU goes, by perf; KEEP=1 writes
#                  bench/results/profile.md
#   make bench-feed   the fan-out of the feed, beside nchan's
#                  SUBSCRIBERS=1000 RATES="1000 5000 20000" DURATION=20
#   make bench-track  POST of events, beside nginx with Lua
#                  RATES="1000 max" DURATION=10 CONNECTIONS=100 WS_RATE=5000
#   make bench-log    filters over a log of a million records, beside
#                  PostgreSQL: RECORDS=1000000 DAYS=30 POSTGRES=1 SCANS=1
#   make deb       the Debian package, in build/deb
#                  MAINTAINER='Name <address>' of who hands it on
#   make deb-test  installs it into a Debian of its own, and serves a session;
#                  as root, some minutes
#   make deploy-test  installs as README says, in Debians of its own that
#                  serve something else; as root, some minutes
#   make docker-test  builds the image without Docker, with buildah, and sends
#                  sessions through it; as root, some minutes
#   make deps      installs what run, test and lint need from Debian
#   make clean     removes build/; run/ has data and stays

SHELL = /bin/sh

.DELETE_ON_ERROR:
.PHONY: run test bench bench-units bench-instructions bench-profile \
    bench-feed bench-track bench-log lint clean build unit unit-built fuzz \
    deb deb-test deploy-test docker-test deps nginx FORCE

NGINX_SRC =
SANITIZE =
VALGRIND =
ECHO =

T =
JOBS = 2
FUZZ_TIME = 60
MAINTAINER ?=

PORT ?= 8080
WORKERS ?= 1
RUNDIR ?= run
REDIS ?=
SWAGGER_UI ?= build/swagger-ui

on = $(filter-out 0 no off,$(1))


# one build folder a variant

VARIANT = $(if $(call on,$(SANITIZE)),sanitize,nginx)$(if \
    $(NGINX_SRC),-$(notdir $(abspath $(NGINX_SRC))))$(if \
    $(call on,$(ECHO)),-echo)

DIR = build/$(VARIANT)
MODULE = $(DIR)/objs/ngx_http_eventsession_module.so

# nginx-dev has headers only; its module fits the installed nginx

DEV_SRC = /usr/share/nginx/src
DEB_SRC = build/src/nginx

SRC = $(if $(NGINX_SRC),$(NGINX_SRC),$(if \
    $(call on,$(SANITIZE)),$(DEB_SRC),$(DEV_SRC)))

NGINX_BIN = $(if $(NGINX_SRC)$(call on,$(SANITIZE)),$(DIR)/objs/nginx,nginx)

CC_OPT = -g -O2 -fPIC -fstack-protector-strong -Wformat \
    -Werror=format-security -Wdate-time -D_FORTIFY_SOURCE=2 \
    -fno-semantic-interposition
LD_OPT = -Wl,-z,relro -Wl,-z,now

# each palloc() is a malloc() of its own here.  nginx itself calls memcpy() with
# NULL and 0, and reads and writes words where they are, so that is let pass.

ifneq ($(call on,$(SANITIZE)),)
CC_OPT = -g -O1 -fPIC -fsanitize=address,undefined \
    -fno-sanitize-recover=undefined -fno-omit-frame-pointer \
    -fno-sanitize=nonnull-attribute,alignment -DNGX_DEBUG_PALLOC=1
LD_OPT = -fsanitize=address,undefined
endif

ifneq ($(call on,$(ECHO)),)
CC_OPT += -DEVENTSESSION_ECHO
endif

SOURCES = $(sort $(wildcard ngx_http_eventsession_module/*.[ch] \
    ngx_http_eventsession_module/*/*.[ch]))

# configured anew when these change, or when a file comes or goes

INPUTS = $(SRC) $(CC_OPT) $(LD_OPT) $(SOURCES)

export CC_OPT LD_OPT
export PORT WORKERS RUNDIR REDIS SWAGGER_UI
export MAINTAINER


build: $(MODULE)
	@echo $(MODULE)

$(MODULE): $(SOURCES) $(DIR)/objs/configured
	@+$(MAKE) -s -C $(DIR) -f objs/Makefile \
	    objs/ngx_http_eventsession_module.so
	@touch $@

$(DIR)/objs/configured: $(DIR)/objs/inputs config tools/configure
	@tools/configure $(DIR) $(SRC)
	@touch $@

$(DIR)/objs/inputs: FORCE | $(filter $(DEB_SRC),$(SRC))
	@mkdir -p $(@D)
	@echo '$(INPUTS)' | cmp -s - $@ || echo '$(INPUTS)' > $@

nginx: $(filter-out nginx,$(NGINX_BIN))

$(DIR)/objs/nginx: $(DIR)/objs/configured
	@+$(MAKE) -s -C $(DIR) -f objs/Makefile objs/nginx

$(DEB_SRC):
	@tools/deps sanitize
	@tools/nginx-source $$(. /etc/os-release; echo $$VERSION_CODENAME) $@


# what the scripts are told

ENV = EVS_NGINX='$(NGINX_BIN)' EVS_MODULE='$(MODULE)' \
    EVS_UNIT='$(DIR)/unit' EVS_BENCH='$(DIR)/bench' \
    EVS_ECHO='$(call on,$(ECHO))' \
    EVS_SANITIZE='$(call on,$(SANITIZE))' \
    EVS_VALGRIND='$(call on,$(VALGRIND))' JOBS='$(JOBS)'


run:
	@tools/deps run
	@+$(MAKE) -s --no-print-directory $(MODULE) nginx
	@tools/swagger-ui '$(SWAGGER_UI)' || true
	@exec env $(ENV) tools/run


# Unit tests and fuzz targets: the pure rooms, compiled with the sanitizers

ROOM = ngx_http_eventsession_module

PURE = $(filter-out %/ws_handshake.c,$(wildcard $(ROOM)/event/*.c \
    $(ROOM)/proto/*.c $(ROOM)/redis/resp_read.c $(ROOM)/redis/resp_room.c \
    $(ROOM)/store/member.c $(ROOM)/store/feed_entry.c \
    $(ROOM)/store/record.c $(ROOM)/store/worker_record.c \
    $(ROOM)/stats/slots.c $(ROOM)/stats/text.c)) $(wildcard t/unit/ngx_shim.c)
PURE_OBJS = $(PURE:%.c=$(DIR)/unit/%.o)
PURE_LIBS = -ljansson -lpcre2-8 -lm

UNITS = $(patsubst t/unit/%.c,$(DIR)/unit/%,$(wildcard t/unit/test_*.c))
FUZZERS = $(filter-out replay,$(patsubst t/unit/fuzz_%.c,%,$(wildcard \
    t/unit/fuzz_*.c)))
REPLAYS = $(FUZZERS:%=$(DIR)/unit/replay_%)

NGINX_INCS = $(foreach d,core event event/modules os/unix http \
    http/modules http/v2,-isystem $(SRC)/src/$(d)) -isystem $(DIR)/objs

UNIT_SANITIZE := $(shell echo 'int main(void) { return 0; }' \
    | gcc -x c -fsanitize=address,undefined -o /dev/null - 2> /dev/null \
    && echo -fsanitize=address,undefined -fno-sanitize-recover=all)

UNIT_FLAGS = -g -O1 -std=gnu99 -Wall -Wextra -Wno-unused-parameter -Werror \
    -fno-omit-frame-pointer -I$(ROOM) -It/unit $(NGINX_INCS)
UNIT_CFLAGS = $(UNIT_FLAGS) $(UNIT_SANITIZE)

$(DIR)/unit/%.o: %.c $(DIR)/objs/configured
	@mkdir -p $(@D)
	@gcc $(UNIT_CFLAGS) -MMD -MP -c -o $@ $<

$(UNITS): $(DIR)/unit/%: $(DIR)/unit/t/unit/%.o $(PURE_OBJS)
	@gcc $(UNIT_CFLAGS) -o $@ $^ -lcmocka -lhiredis $(PURE_LIBS)

$(REPLAYS): $(DIR)/unit/replay_%: $(DIR)/unit/t/unit/fuzz_%.o \
    $(DIR)/unit/t/unit/fuzz_replay.o $(PURE_OBJS)
	@gcc $(UNIT_CFLAGS) -o $@ $^ $(PURE_LIBS)

.SECONDARY:

-include $(shell test -d $(DIR)/unit && find $(DIR)/unit -name '*.d')

unit:
	@tools/deps test
	@+$(MAKE) -s --no-print-directory unit-built
	@$(ENV) tools/test $(UNITS) $(if $(FUZZERS),t/fuzz_corpora.t)

unit-built: $(UNITS) $(REPLAYS)


# every target for FUZZ_TIME seconds; what is new goes to build/, not to the
# committed corpus

fuzz:
	@tools/deps fuzz
	@+$(MAKE) -s --no-print-directory $(DIR)/objs/configured
	@$(foreach f,$(FUZZERS),$(call fuzz_one,$(f)) &&) true

define fuzz_one
echo "fuzzing $(1) for $(FUZZ_TIME) s" && mkdir -p build/fuzz/$(1) && \
clang $(UNIT_FLAGS) -fsanitize=fuzzer,address,undefined \
    -fno-sanitize-recover=all -o build/fuzz/fuzz_$(1) t/unit/fuzz_$(1).c \
    $(PURE) $(PURE_LIBS) && \
build/fuzz/fuzz_$(1) -max_total_time=$(FUZZ_TIME) -print_final_stats=1 \
    -artifact_prefix=build/fuzz/$(1)- build/fuzz/$(1) t/unit/corpus/$(1)
endef


# T=t/foo.t for one file, T=t/unit/test_foo.c for one unit.  The tests of
# WebSocket frames need an endpoint that echoes: a module of its own beside the
# one that is tested.

TESTS = $(if $(T),$(patsubst t/unit/%.c,$(DIR)/unit/%,$(T)),$(UNITS) \
    $(sort $(wildcard t/*.t)))

test:
	@tools/deps test $(if $(call on,$(VALGRIND)),valgrind)
	@+$(MAKE) -s --no-print-directory $(MODULE) nginx unit-built $(WS_LOAD)
	@+$(MAKE) -s --no-print-directory ECHO=1 build > /dev/null
	@$(ENV) tools/test $(TESTS)


lint:
	@tools/deps lint
	@+$(MAKE) -s --no-print-directory $(DIR)/objs/configured
	@tools/lint $(DIR) $(SRC)

# Twenty minutes, in which the machine should have nothing else to do.  Ten
# thousand WebSockets are as many open files.

WS_LOAD = $(DIR)/bench/ws_load

export SERVER SERVERS WORKLOADS ROUNDS WORKERS KEEP SCALE NGINX_SRC

bench:
	@tools/deps bench-compare
	@+$(MAKE) -s --no-print-directory $(MODULE) nginx $(WS_LOAD)
	@tools/bench-peers $(or $(SERVERS),go lua node nchan null yyjson)
	@ulimit -n $$(ulimit -Hn) && $(ENV) bench/compare

$(WS_LOAD): bench/ws_load.c
	@mkdir -p $(@D)
	@gcc -O3 -std=gnu99 -o $@ $<

# what the pure rooms cost, optimised as the module is

BENCHES = $(patsubst %,$(DIR)/bench/%,filter frame member scan)

bench-units:
	@tools/deps run
	@+$(MAKE) -s --no-print-directory $(BENCHES)
	@for bench in $(BENCHES); do $$bench || exit 1; done

$(DIR)/bench/%: bench/%.c $(PURE) $(SOURCES) $(DIR)/objs/configured
	@mkdir -p $(@D)
	@gcc -O2 -std=gnu99 -I$(ROOM) -It/unit $(NGINX_INCS) -o $@ $< $(PURE) \
	    $(PURE_LIBS)

# the same on a machine that has other things to do

bench-instructions:
	@tools/deps bench-instructions
	@+$(MAKE) -s --no-print-directory $(MODULE) nginx $(WS_LOAD) \
	    $(DIR)/bench/work
	@$(ENV) bench/instructions $(DIR)/bench/work $(WS_LOAD)

# a few minutes, in which the machine should have nothing else to do

bench-profile:
	@tools/deps bench-profile
	@+$(MAKE) -s --no-print-directory $(MODULE) nginx $(WS_LOAD)
	@$(ENV) bench/profile

bench-feed:
	@tools/deps bench
	@+$(MAKE) -s --no-print-directory $(MODULE)
	@mkdir -p $(DIR)/bench
	@gcc -O3 -std=gnu99 -o $(DIR)/bench/feed_client bench/feed_client.c
	@$(ENV) bench/feed $(DIR)/bench/feed_client

bench-track:
	@tools/deps bench
	@+$(MAKE) -s --no-print-directory $(MODULE)
	@$(ENV) bench/track

bench-log:
	@tools/deps bench-log
	@+$(MAKE) -s --no-print-directory $(MODULE)
	@$(ENV) bench/log

# nginx's ABI is the one of the Debian that it is built on

deb:
	@tools/deps deb
	@JOBS='$(JOBS)' tools/deb

deb-test:
	@tools/deps deb-test
	@+$(MAKE) -s --no-print-directory deb
	@tools/deb-test

deploy-test:
	@tools/deps deploy-test
	@tools/deploy-test

docker-test:
	@tools/deps docker-test
	@tools/docker-test


deps:
	@tools/deps run test lint

clean:
	rm -rf build
