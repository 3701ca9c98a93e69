
/*
 * Schemas of the configuration: see schema.h.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <jansson.h>

#include "event/json.h"
#include "event/schema.h"
#include "http/schema.h"


/* a kind of events, and what their data must fit */
typedef struct {
    ngx_str_t         category;   /* as in entries: the inside of a JSON
                                     string */
    ngx_str_t         name;
    evs_schema_t     *schema;
} ngx_http_eventsession_schema_t;


static char *ngx_http_eventsession_schema_load(ngx_conf_t *cf,
    ngx_str_t *file, evs_schema_t **schema);
static char *ngx_http_eventsession_schema_text(ngx_conf_t *cf,
    ngx_str_t *text, const ngx_str_t *plain);
static evs_schema_t *ngx_http_eventsession_schema_find(
    const ngx_array_t *schemas, const ngx_str_t *category,
    const ngx_str_t *name);
static ngx_int_t ngx_http_eventsession_schema_tell(evs_track_t *track,
    evs_track_item_t *item, const evs_schema_faults_t *faults);


char *
ngx_http_eventsession_schema(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    char                            *rc;
    ngx_str_t                       *value, category, name;
    ngx_array_t                    **schemas;
    evs_schema_t                    *schema;
    ngx_http_eventsession_schema_t  *kind;

    schemas = (ngx_array_t **) (void *) (p + cmd->offset);
    value = cf->args->elts;

    if (*schemas == NGX_CONF_UNSET_PTR) {
        *schemas = ngx_array_create(cf->pool, 4,
                                    sizeof(ngx_http_eventsession_schema_t));
        if (*schemas == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    if (ngx_http_eventsession_schema_text(cf, &category, &value[1])
        != NGX_CONF_OK
        || ngx_http_eventsession_schema_text(cf, &name, &value[2])
           != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_eventsession_schema_find(*schemas, &category, &name)
        != NULL)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate schema of category \"%V\" and name "
                           "\"%V\" in \"%V\": each kind of events must have "
                           "one at most", &value[1], &value[2], &cmd->name);
        return NGX_CONF_ERROR;
    }

    rc = ngx_http_eventsession_schema_load(cf, &value[3], &schema);
    if (rc != NGX_CONF_OK) {
        return rc;
    }

    kind = ngx_array_push(*schemas);
    if (kind == NULL) {
        return NGX_CONF_ERROR;
    }

    kind->category = category;
    kind->name = name;
    kind->schema = schema;

    return NGX_CONF_OK;
}


/* The file, by its name as in the configuration, compiled. */

static char *
ngx_http_eventsession_schema_load(ngx_conf_t *cf, ngx_str_t *file,
    evs_schema_t **schema)
{
    json_t              *json;
    ngx_fd_t             fd;
    json_error_t         syntax;
    evs_schema_error_t   error;

    if (ngx_conf_full_name(cf->cycle, file, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    fd = ngx_open_file(file->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", file);
        return NGX_CONF_ERROR;
    }

    json = json_loadfd(fd, JSON_REJECT_DUPLICATES|JSON_DECODE_ANY, &syntax);

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, cf->log, ngx_errno,
                      ngx_close_file_n " \"%V\" failed", file);
    }

    if (json == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the schema \"%V\" can't be read at line %d, "
                           "column %d: %s", file, syntax.line, syntax.column,
                           syntax.text);
        return NGX_CONF_ERROR;
    }

    *schema = evs_schema_compile(cf->pool, json, &error);

    json_decref(json);

    if (*schema == NULL) {

        if (error.text.len != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "the schema \"%V\" is wrong at \"%V\": %V",
                               file, &error.pointer, &error.text);
        }

        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_eventsession_schema_text(ngx_conf_t *cf, ngx_str_t *text,
    const ngx_str_t *plain)
{
    switch (evs_fields_text(cf->pool, plain, text)) {

    case NGX_OK:
        return NGX_CONF_OK;

    case NGX_DECLINED:
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid category or name \"%V\": must be UTF-8, "
                           "and not blank", plain);
        return NGX_CONF_ERROR;

    default:
        return NGX_CONF_ERROR;
    }
}


static evs_schema_t *
ngx_http_eventsession_schema_find(const ngx_array_t *schemas,
    const ngx_str_t *category, const ngx_str_t *name)
{
    ngx_uint_t                       i;
    ngx_http_eventsession_schema_t  *kinds;

    kinds = schemas->elts;

    for (i = 0; i < schemas->nelts; i++) {

        if (kinds[i].category.len == category->len
            && kinds[i].name.len == name->len
            && ngx_memcmp(kinds[i].category.data, category->data,
                          category->len)
               == 0
            && ngx_memcmp(kinds[i].name.data, name->data, name->len) == 0)
        {
            return kinds[i].schema;
        }
    }

    return NULL;
}


ngx_int_t
ngx_http_eventsession_schema_check(const ngx_array_t *schemas,
    evs_track_t *track, evs_track_item_t *item, ngx_uint_t *steps)
{
    json_t               *data;
    ngx_int_t             rc;
    json_error_t          error;
    evs_schema_t         *schema;
    evs_schema_faults_t   faults;

    static const ngx_str_t  number = ngx_string(
        ": Must have no integer beyond 64 bits and no number beyond 1e308: "
        "it can't be checked by the schema.");

    schema = ngx_http_eventsession_schema_find(schemas, &item->entry.category,
                                               &item->entry.name);
    if (schema == NULL) {
        return NGX_OK;
    }

    /* it is JSON for certain, but may have what C has no type for */

    data = json_loadb((char *) item->entry.data.data, item->entry.data.len,
                      JSON_DECODE_ANY|JSON_ALLOW_NUL, &error);

    if (data == NULL) {

        if (json_error_code(&error) != json_error_numeric_overflow) {
            return NGX_ERROR;
        }

        rc = evs_fields_fault(&track->fields, &item->faults,
                              EVS_TRACK_DATA, &number);

        return (rc == NGX_OK) ? NGX_OK : NGX_ERROR;
    }

    rc = evs_schema_validate(schema, data, track->fields.pool, steps, &faults);

    json_decref(data);

    if (rc == NGX_DECLINED) {
        return ngx_http_eventsession_schema_tell(track, item, &faults);
    }

    return rc;
}


/* "<pointer>: <sentence>" for each fault. */

static ngx_int_t
ngx_http_eventsession_schema_tell(evs_track_t *track, evs_track_item_t *item,
    const evs_schema_faults_t *faults)
{
    u_char                    *p;
    ngx_str_t                  sentence;
    ngx_uint_t                 i;
    const evs_schema_fault_t  *fault;

    for (i = 0; i < faults->n; i++) {
        fault = &faults->fault[i];

        sentence.len = fault->pointer.len + 2 + fault->text.len;

        sentence.data = ngx_pnalloc(track->fields.pool, sentence.len);
        if (sentence.data == NULL) {
            return NGX_ERROR;
        }

        p = ngx_cpymem(sentence.data, fault->pointer.data,
                       fault->pointer.len);
        p = ngx_cpymem(p, ": ", 2);
        ngx_memcpy(p, fault->text.data, fault->text.len);

        if (evs_fields_fault(&track->fields, &item->faults, EVS_TRACK_DATA,
                             &sentence)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}
