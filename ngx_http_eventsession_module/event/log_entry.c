
/*
 * Records that are posted to the event log, see log_entry.h.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/email.h"
#include "event/log_entry.h"


typedef struct {
    evs_fields_item_t  faults;
    evs_record_t       record;
} evs_log_item_t;


static ngx_int_t evs_log_email(evs_fields_t *fields, evs_fields_item_t *base,
    ngx_uint_t field, evs_json_value_t *value);
static ngx_int_t evs_log_email_check(evs_fields_t *fields,
    evs_fields_item_t *base, const ngx_str_t *text);
static ngx_int_t evs_log_environment(evs_fields_t *fields,
    evs_fields_item_t *base, ngx_uint_t field, evs_json_value_t *value);
static ngx_int_t evs_log_component(evs_fields_t *fields,
    evs_fields_item_t *base, ngx_uint_t field, evs_json_value_t *value);
static ngx_int_t evs_log_message(evs_fields_t *fields,
    evs_fields_item_t *base, ngx_uint_t field, evs_json_value_t *value);
static ngx_int_t evs_log_data(evs_fields_t *fields, evs_fields_item_t *base,
    ngx_uint_t field, evs_json_value_t *value);
static ngx_int_t evs_log_told(ngx_int_t rc);


/* by evs_log_entry_field_e */

static const evs_field_t  evs_log_fields[] = {
    { ngx_string("non_field_errors"), NULL },
    { ngx_string("email"), evs_log_email },
    { ngx_string("environment"), evs_log_environment },
    { ngx_string("component"), evs_log_component },
    { ngx_string("message"), evs_log_message },
    { ngx_string("data"), evs_log_data }
};

static const evs_fields_table_t  evs_log_table = {
    evs_log_fields, EVS_LOG_ENTRY_FIELDS, sizeof(evs_log_item_t), 0
};


ngx_int_t
evs_log_entry_parse(evs_log_entry_t *entry, u_char *text, size_t len,
    evs_json_names_t *names, size_t data_max)
{
    ngx_int_t        rc;
    evs_fields_t    *fields;
    evs_log_item_t  *item;

    fields = &entry->fields;

    fields->table = &evs_log_table;
    fields->rules = &data_max;
    fields->max = 1;

    rc = evs_fields_parse(fields, text, len, names);

    if (rc == NGX_OK && fields->nfaulty == 0) {
        item = (evs_log_item_t *) (void *) fields->items;
        entry->record = item->record;
    }

    return rc;
}


static ngx_int_t
evs_log_email(evs_fields_t *fields, evs_fields_item_t *base, ngx_uint_t field,
    evs_json_value_t *value)
{
    ngx_int_t   rc;
    ngx_str_t  *text;

    text = &((evs_log_item_t *) base)->record.email;

    rc = evs_fields_string(fields, base, field, value, EVS_LOG_EMAIL_MAX,
                           text);

    if (rc == NGX_ABORT || text->len == 0) {
        return evs_log_told(rc);
    }

    return evs_log_email_check(fields, base, text);
}


/* The text is canonical JSON, the address is what it says. */

static ngx_int_t
evs_log_email_check(evs_fields_t *fields, evs_fields_item_t *base,
    const ngx_str_t *text)
{
    u_char  *p, *last;

    static const ngx_str_t  invalid =
        ngx_string("Enter a valid email address.");

    p = text->data;
    last = p + text->len;

    if (memchr(p, '\\', text->len) != NULL) {

        p = ngx_pnalloc(fields->pool, text->len);
        if (p == NULL) {
            return NGX_ABORT;
        }

        ngx_memcpy(p, text->data, text->len);
        last = evs_json_unescape(p, p + text->len);
    }

    return evs_email_valid(p, (size_t) (last - p))
           ? NGX_OK
           : evs_fields_fault(fields, base, EVS_LOG_ENTRY_EMAIL, &invalid);
}


static ngx_int_t
evs_log_environment(evs_fields_t *fields, evs_fields_item_t *base,
    ngx_uint_t field, evs_json_value_t *value)
{
    return evs_log_told(evs_fields_string(fields, base, field, value,
                            EVS_LOG_ENVIRONMENT_MAX,
                            &((evs_log_item_t *) base)->record.environment));
}


static ngx_int_t
evs_log_component(evs_fields_t *fields, evs_fields_item_t *base,
    ngx_uint_t field, evs_json_value_t *value)
{
    return evs_log_told(evs_fields_string(fields, base, field, value,
                            EVS_LOG_COMPONENT_MAX,
                            &((evs_log_item_t *) base)->record.component));
}


static ngx_int_t
evs_log_message(evs_fields_t *fields, evs_fields_item_t *base,
    ngx_uint_t field, evs_json_value_t *value)
{
    return evs_log_told(evs_fields_string(fields, base, field, value,
                            EVS_LOG_MESSAGE_MAX,
                            &((evs_log_item_t *) base)->record.message));
}


static ngx_int_t
evs_log_data(evs_fields_t *fields, evs_fields_item_t *base, ngx_uint_t field,
    evs_json_value_t *value)
{
    const size_t  *max;

    max = fields->rules;

    return evs_log_told(evs_fields_data(fields, base, field, value, *max,
                            &((evs_log_item_t *) base)->record.data));
}


/* A fault that was told is none of the check's. */

static ngx_int_t
evs_log_told(ngx_int_t rc)
{
    return (rc == NGX_DECLINED) ? NGX_OK : rc;
}
