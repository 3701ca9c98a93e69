
/*
 * Records of the event log, see record.h.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/time.h"
#include "store/record.h"
#include "store/varint.h"


#define EVS_RECORD_FORMAT    0x01

#define EVS_RECORD_TIME_LEN  8
#define EVS_RECORD_ID_LEN    16
#define EVS_RECORD_HEAD_LEN  (1 + EVS_RECORD_TIME_LEN + EVS_RECORD_ID_LEN)

#define evs_record_lit(p, s)  ngx_cpymem(p, s, sizeof(s) - 1)


static u_char *evs_record_text_write(u_char *p, const ngx_str_t *text);
static u_char *evs_record_text_read(u_char *p, u_char *last, ngx_str_t *text);
static ngx_int_t evs_record_data_read(u_char *p, u_char *last,
    ngx_str_t *data, evs_json_names_t *names);
static u_char *evs_record_put(u_char *p, const ngx_str_t *text);


size_t
evs_record_max(const evs_record_t *record)
{
    return EVS_RECORD_HEAD_LEN + 4 * EVS_VARINT_MAX + record->email.len
           + record->environment.len + record->component.len
           + record->message.len + record->data.len;
}


u_char *
evs_record_write(u_char *p, const evs_record_t *record)
{
    uint64_t    us;
    ngx_uint_t  i;

    *p++ = EVS_RECORD_FORMAT;

    us = (uint64_t) record->us;

    for (i = 0; i < EVS_RECORD_TIME_LEN; i++) {
        *p++ = (u_char) (us >> (56 - 8 * i));
    }

    p = ngx_cpymem(p, record->id, EVS_RECORD_ID_LEN);

    p = evs_record_text_write(p, &record->email);
    p = evs_record_text_write(p, &record->environment);
    p = evs_record_text_write(p, &record->component);
    p = evs_record_text_write(p, &record->message);

    return evs_record_put(p, &record->data);
}


static u_char *
evs_record_text_write(u_char *p, const ngx_str_t *text)
{
    return evs_record_put(evs_varint_write(p, text->len), text);
}


ngx_int_t
evs_record_read(evs_record_t *record, const ngx_str_t *member,
    evs_json_names_t *names)
{
    u_char      *p, *last;
    uint64_t     us;
    ngx_str_t   *texts[4];
    ngx_uint_t   i;

    p = member->data;
    last = p + member->len;

    if (member->len < EVS_RECORD_HEAD_LEN || *p++ != EVS_RECORD_FORMAT) {
        return NGX_DECLINED;
    }

    us = 0;

    for (i = 0; i < EVS_RECORD_TIME_LEN; i++) {
        us = us << 8 | *p++;
    }

    if (us > (uint64_t) EVS_TIME_MAX_US) {
        return NGX_DECLINED;
    }

    record->us = (int64_t) us;

    ngx_memcpy(record->id, p, EVS_RECORD_ID_LEN);
    p += EVS_RECORD_ID_LEN;

    texts[0] = &record->email;
    texts[1] = &record->environment;
    texts[2] = &record->component;
    texts[3] = &record->message;

    for (i = 0; i < 4; i++) {
        p = evs_record_text_read(p, last, texts[i]);

        if (p == NULL) {
            return NGX_DECLINED;
        }
    }

    return evs_record_data_read(p, last, &record->data, names);
}


/* The end of the text at p; NULL: it is none of ours. */

static u_char *
evs_record_text_read(u_char *p, u_char *last, ngx_str_t *text)
{
    uint64_t  len;

    p = evs_varint_read(p, last, &len);

    if (p == NULL || (uint64_t) (last - p) < len
        || !evs_json_is_canonical(p, (size_t) len))
    {
        return NULL;
    }

    text->data = p;
    text->len = (size_t) len;

    return p + len;
}


static ngx_int_t
evs_record_data_read(u_char *p, u_char *last, ngx_str_t *data,
    evs_json_names_t *names)
{
    ngx_int_t          rc;
    evs_json_t         json;
    evs_json_value_t   value;

    data->data = p;
    data->len = (size_t) (last - p);

    evs_json_init(&json, p, data->len, names);

    rc = evs_json_value(&json, &value);

    if (rc == NGX_ABORT) {
        return NGX_ABORT;
    }

    /* none in front of it, within it, or behind */

    return (rc == NGX_OK && !value.blanks && value.start == p
            && value.last == last)
           ? NGX_OK : NGX_DECLINED;
}


size_t
evs_record_json_max(const evs_record_t *record)
{
    return sizeof("{\"id\":\"\",\"createdAt\":\"\",\"email\":\"\","
                  "\"environment\":\"\",\"component\":\"\",\"message\":\"\","
                  "\"data\":}")
           + EVS_RECORD_UUID_LEN + EVS_TIME_STRING_LEN + record->email.len
           + record->environment.len + record->component.len
           + record->message.len + record->data.len;
}


u_char *
evs_record_json(u_char *p, const evs_record_t *record)
{
    p = evs_record_lit(p, "{\"id\":\"");
    p = evs_record_uuid(p, record);

    p = evs_record_lit(p, "\",\"createdAt\":\"");
    p = evs_time_format(p, record->us, 6);

    p = evs_record_lit(p, "\",\"email\":\"");
    p = evs_record_put(p, &record->email);

    p = evs_record_lit(p, "\",\"environment\":\"");
    p = evs_record_put(p, &record->environment);

    p = evs_record_lit(p, "\",\"component\":\"");
    p = evs_record_put(p, &record->component);

    p = evs_record_lit(p, "\",\"message\":\"");
    p = evs_record_put(p, &record->message);

    p = evs_record_lit(p, "\",\"data\":");
    p = evs_record_put(p, &record->data);

    *p++ = '}';

    return p;
}


u_char *
evs_record_uuid(u_char *p, const evs_record_t *record)
{
    ngx_uint_t  i;

    static const u_char  hex[] = "0123456789abcdef";

    for (i = 0; i < EVS_RECORD_ID_LEN; i++) {

        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *p++ = '-';
        }

        *p++ = hex[record->id[i] >> 4];
        *p++ = hex[record->id[i] & 0xf];
    }

    return p;
}


static u_char *
evs_record_put(u_char *p, const ngx_str_t *text)
{
    return ngx_cpymem(p, text->data, text->len);
}
