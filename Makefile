# The entry point to everything; needs GNU make only, `deps` gets the rest.
#
#   make run       build, and serve on 127.0.0.1:8080 with a Redis of its own
#                  PORT=8080 WORKERS=1 RUNDIR=run REDIS=<url of a Redis>
#   make test      everything: unit tests, fuzz corpora, t/*.t
#                  T=t/foo.t JOBS=2 SANITIZE=1 VALGRIND=1
#   make build     the module; prints its path
#                  NGINX_SRC=<nginx source tree> SANITIZE=1 ECHO=1
#   make unit      unit tests and fuzz corpora alone
#   make fuzz      clang's fuzzer on each parser, FUZZ_TIME=60 seconds each
#   make lint      warnings, cppcheck, include directions, style
#   make bench     the benchmark
#   make deps      installs what run, test and lint need from Debian
#   make clean     removes build/; run/ has data and stays

SHELL = /bin/sh

.DELETE_ON_ERROR:
.PHONY: run test bench lint clean build unit fuzz deps nginx FORCE

NGINX_SRC =
SANITIZE =
VALGRIND =
ECHO =

T =
JOBS = 2
FUZZ_TIME = 60

PORT = 8080
WORKERS = 1
RUNDIR = run
REDIS =

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

NGINX = $(if $(NGINX_SRC)$(call on,$(SANITIZE)),$(DIR)/objs/nginx,nginx)

CC_OPT = -g -O2 -fPIC -fstack-protector-strong -Wformat \
    -Werror=format-security -Wdate-time -D_FORTIFY_SOURCE=2 \
    -fno-semantic-interposition
LD_OPT = -Wl,-z,relro -Wl,-z,now

ifneq ($(call on,$(SANITIZE)),)
CC_OPT = -g -O1 -fPIC -fsanitize=address,undefined \
    -fno-sanitize-recover=undefined -fno-omit-frame-pointer \
    -DNGX_DEBUG_PALLOC=1
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


build: $(MODULE)
	@echo $(MODULE)

$(MODULE): $(SOURCES) $(DIR)/objs/configured
	@+$(MAKE) -s -C $(DIR) -f objs/Makefile \
	    objs/ngx_http_eventsession_module.so
	@touch $@

$(DIR)/objs/configured: $(DIR)/objs/inputs config tools/configure
	@tools/configure $(DIR) $(SRC)
	@touch $@

$(DIR)/objs/inputs: FORCE | $(if $(NGINX_SRC),,$(filter $(DEB_SRC),$(SRC)))
	@mkdir -p $(@D)
	@echo '$(INPUTS)' | cmp -s - $@ || echo '$(INPUTS)' > $@

nginx: $(filter-out nginx,$(NGINX))

$(DIR)/objs/nginx: $(DIR)/objs/configured
	@+$(MAKE) -s -C $(DIR) -f objs/Makefile objs/nginx

clean:
	rm -rf build
