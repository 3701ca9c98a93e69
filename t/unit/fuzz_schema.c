
/*
 * JSON Schema: the first line of the input is a schema, the rest a value.  The
 * faults have to go with the verdict and stay within their bounds, and the
 * verdict has to be the same for {"not": {"not": schema}}, where nothing may be
 * told.  Patterns and references are parsed on the way.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/schema.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
static void fuzz_schema(json_t *json, const json_t *value, ngx_pool_t *pool);
static void fuzz_faults(ngx_int_t rc, const evs_schema_faults_t *faults);
static ngx_uint_t fuzz_ended(const evs_schema_faults_t *faults);
static void fuzz_expect(ngx_uint_t holds);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t        *json, *value;
    ngx_pool_t    *pool;
    const uint8_t  *line;

    line = memchr(data, '\n', size);

    if (line == NULL) {
        return 0;
    }

    json = json_loadb((const char *) data, (size_t) (line - data),
                      JSON_DECODE_ANY|JSON_ALLOW_NUL, NULL);
    line++;
    value = json_loadb((const char *) line, (size_t) (data + size - line),
                       JSON_DECODE_ANY|JSON_ALLOW_NUL, NULL);

    if (json != NULL && value != NULL) {
        pool = ngx_create_pool(4096, NULL);
        fuzz_schema(json, value, pool);
        ngx_destroy_pool(pool);
    }

    json_decref(json);
    json_decref(value);

    return 0;
}


static void
fuzz_schema(json_t *json, const json_t *value, ngx_pool_t *pool)
{
    json_t               *twice;
    ngx_int_t             rc, again;
    ngx_uint_t            steps;
    evs_schema_t         *schema;
    evs_schema_error_t    err;
    evs_schema_faults_t   faults, other;

    schema = evs_schema_compile(pool, json, &err);

    if (schema == NULL) {
        fuzz_expect(err.text.len > 0 && err.pointer.len <= 1024);
        return;
    }

    steps = EVS_SCHEMA_MAX_STEPS;
    rc = evs_schema_validate(schema, value, pool, &steps, &faults);
    fuzz_faults(rc, &faults);

    /* a "$ref" to the root would mean another one */

    twice = json_pack("{s{s{s[O]}}}", "not", "not", "allOf", json);
    schema = evs_schema_compile(pool, twice, &err);
    json_decref(twice);

    if (schema == NULL || fuzz_ended(&faults)) {
        return;
    }

    steps = EVS_SCHEMA_MAX_STEPS;
    again = evs_schema_validate(schema, value, pool, &steps, &other);
    fuzz_faults(again, &other);

    fuzz_expect(again == rc || fuzz_ended(&other));
}


static void
fuzz_faults(ngx_int_t rc, const evs_schema_faults_t *faults)
{
    ngx_uint_t  i;

    fuzz_expect(rc == (faults->n == 0 ? NGX_OK : NGX_DECLINED));
    fuzz_expect(faults->n <= EVS_SCHEMA_MAX_FAULTS);

    for (i = 0; i < faults->n; i++) {
        fuzz_expect(faults->fault[i].text.len > 0);
        fuzz_expect(faults->fault[i].pointer.len <= 1024);
        fuzz_expect(faults->fault[i].pointer.len == 0
                    || faults->fault[i].pointer.data[0] == '/');
    }
}


/* The verdict is then of the work, and not of the schema. */

static ngx_uint_t
fuzz_ended(const evs_schema_faults_t *faults)
{
    static const char  text[] = "Must be simpler";

    return faults->n != 0
           && faults->fault[faults->n - 1].text.len > sizeof(text)
           && ngx_strncmp(faults->fault[faults->n - 1].text.data, text,
                          sizeof(text) - 1)
              == 0;
}


static void
fuzz_expect(ngx_uint_t holds)
{
    if (!holds) {
        abort();
    }
}
