
/*
 * The text is validated as a whole first, so that a syntax fault goes before
 * any other; then it is walked once more, knowing that it is right.  An event
 * is read to its end before any of its text is changed.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/json.h"
#include "event/lex.h"
#include "event/time.h"
#include "event/track.h"


#define EVS_TRACK_ALLOC     8        /* items of an array, at first */

#define EVS_TRACK_URN       "urn:uuid:"

#define EVS_TRACK_LIMIT_MAX                                                  \
    (sizeof("Ensure this field has no more than  characters.")               \
     + NGX_SIZE_T_LEN)

#define evs_track_has(parser, field)                                         \
    (((parser)->seen & (1u << (field))) != 0)

#define evs_track_put_text(out, text)                                        \
    evs_track_put(out, text, sizeof(text) - 1)


typedef struct {
    evs_track_t         *track;
    evs_json_t           json;
    const evs_limits_t  *limits;
    ngx_uint_t           sid_kind;

    unsigned             seen;       /* of the item: a bit a field; the values
                                        of others are not set */
    evs_json_value_t     values[EVS_TRACK_FIELDS];
} evs_track_parser_t;


typedef struct {
    size_t               chars;
    unsigned             nul:1;      /* there is one */
} evs_track_size_t;


/* p == NULL: only the length is wanted */
typedef struct {
    u_char              *p;
    size_t               len;
} evs_track_out_t;


/* all return NGX_OK, whether there was a fault to tell or not, or NGX_ABORT */
typedef ngx_int_t (*evs_track_check_pt)(evs_track_parser_t *parser,
    evs_track_item_t *item, evs_track_field_e field);

typedef void (*evs_track_write_pt)(evs_track_out_t *out,
    const evs_track_t *track);


static ngx_int_t evs_track_body(evs_track_parser_t *parser,
    const evs_json_value_t *value);
static void evs_track_syntax(evs_track_t *track, evs_json_t *json);
static ngx_int_t evs_track_array(evs_track_parser_t *parser);
static ngx_int_t evs_track_item(evs_track_parser_t *parser);
static evs_track_item_t *evs_track_push(evs_track_t *track);
static ngx_int_t evs_track_members(evs_track_parser_t *parser);
static ngx_uint_t evs_track_next(evs_json_t *json);
static evs_track_field_e evs_track_field(const evs_json_value_t *name);
static ngx_int_t evs_track_check(evs_track_parser_t *parser,
    evs_track_item_t *item);
static ngx_int_t evs_track_session(evs_track_parser_t *parser,
    evs_track_item_t *item, evs_track_field_e field);
static ngx_int_t evs_track_uuid(evs_sid_t *sid, u_char *p, u_char *last);
static ngx_int_t evs_track_string(evs_track_parser_t *parser,
    evs_track_item_t *item, evs_track_field_e field);
static void evs_track_trim(ngx_str_t *text, evs_track_size_t *size);
static ngx_uint_t evs_track_code(u_char **pos, const u_char *last);
static ngx_uint_t evs_track_white(ngx_uint_t code);
static ngx_int_t evs_track_data(evs_track_parser_t *parser,
    evs_track_item_t *item, evs_track_field_e field);
static ngx_int_t evs_track_timestamp(evs_track_parser_t *parser,
    evs_track_item_t *item, evs_track_field_e field);
static void evs_track_decoded(const evs_json_value_t *value,
    ngx_str_t *text);
static ngx_int_t evs_track_kind(evs_track_t *track, evs_track_item_t *item,
    const evs_json_value_t *value);
static ngx_int_t evs_track_limit(evs_track_t *track, evs_track_item_t *item,
    evs_track_field_e field, size_t max, const char *unit);
static ngx_int_t evs_track_reply(const evs_track_t *track, ngx_str_t *json,
    evs_track_write_pt write);
static void evs_track_write_faults(evs_track_out_t *out,
    const evs_track_t *track);
static void evs_track_write_map(evs_track_out_t *out,
    const evs_track_faults_t *faults);
static void evs_track_write_sentences(evs_track_out_t *out,
    const evs_track_fault_t *fault);
static void evs_track_write_events(evs_track_out_t *out,
    const evs_track_t *track);
static void evs_track_write_event(evs_track_out_t *out,
    const evs_track_item_t *item);
static void evs_track_put(evs_track_out_t *out, const void *text, size_t len);
static void evs_track_put_escaped(evs_track_out_t *out,
    const ngx_str_t *text);


static const ngx_str_t  evs_track_names[] = {
    ngx_string("non_field_errors"),
    ngx_string("session_id"),
    ngx_string("category"),
    ngx_string("name"),
    ngx_string("data"),
    ngx_string("timestamp")
};

static const evs_track_check_pt  evs_track_checks[] = {
    NULL,
    evs_track_session,
    evs_track_string,
    evs_track_string,
    evs_track_data,
    evs_track_timestamp
};


/* the sentences, as applications know them */

static const ngx_str_t  evs_track_required =
    ngx_string("This field is required.");

static const ngx_str_t  evs_track_null =
    ngx_string("This field may not be null.");

static const ngx_str_t  evs_track_blank =
    ngx_string("This field may not be blank.");

static const ngx_str_t  evs_track_no_string =
    ngx_string("Not a valid string.");

static const ngx_str_t  evs_track_nul =
    ngx_string("Null characters are not allowed.");

static const ngx_str_t  evs_track_no_uuid =
    ngx_string("Must be a valid UUID.");

static const ngx_str_t  evs_track_no_sid =
    ngx_string("Must be a valid session id: 1 to 128 letters, digits, dots, "
               "underscores, tildes or dashes.");

static const ngx_str_t  evs_track_no_time =
    ngx_string("Datetime has wrong format. Use one of these formats instead: "
               "YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z].");

/* by evs_json_type_e, but a number with a fraction or an exponent */

static const ngx_str_t  evs_track_kinds[] = {
    ngx_string("Invalid data. Expected a dictionary, but got float."),
    ngx_string("Invalid data. Expected a dictionary, but got str."),
    ngx_string("Invalid data. Expected a dictionary, but got int."),
    ngx_string("Invalid data. Expected a dictionary, but got dict."),
    ngx_string("Invalid data. Expected a dictionary, but got list."),
    ngx_string("Invalid data. Expected a dictionary, but got bool."),
    ngx_string("Invalid data. Expected a dictionary, but got bool."),
    ngx_string("Invalid data. Expected a dictionary, but got NoneType.")
};


ngx_int_t
evs_track_parse(evs_track_t *track, u_char *text, size_t len,
    evs_json_names_t *names, const evs_limits_t *limits, ngx_uint_t sid_kind)
{
    u_char              *p;
    ngx_int_t            rc;
    ngx_pool_t          *pool;
    evs_json_t          *json;
    evs_json_value_t     value;
    evs_track_parser_t   parser;

    pool = track->pool;
    ngx_memzero(track, sizeof(evs_track_t));
    track->pool = pool;

    parser.track = track;
    parser.limits = limits;
    parser.sid_kind = sid_kind;
    json = &parser.json;

    evs_json_init(json, text, len, names);

    rc = evs_json_value(json, &value);

    if (rc == NGX_OK) {
        p = evs_lex_blanks(json->pos, json->last);

        if (p != json->last) {
            rc = evs_json_fail(json, p, "the end of the body");
        }
    }

    if (rc == NGX_ERROR) {
        evs_track_syntax(track, json);
        rc = NGX_DECLINED;

    } else if (rc == NGX_OK) {
        rc = evs_track_body(&parser, &value);
    }

    return rc;
}


ngx_int_t
evs_track_fault(evs_track_t *track, evs_track_item_t *item,
    evs_track_field_e field, const ngx_str_t *sentence)
{
    evs_track_fault_t   *fault;
    evs_track_faults_t  *faults;

    fault = ngx_palloc(track->pool, sizeof(evs_track_fault_t));
    if (fault == NULL) {
        return NGX_ABORT;
    }

    fault->next = NULL;
    fault->field = field;
    fault->sentence = *sentence;

    faults = (item != NULL) ? &item->faults : &track->faults;

    if (faults->first == NULL) {
        faults->first = fault;
        track->nfaulty++;

    } else {
        faults->last->next = fault;
    }

    faults->last = fault;

    return NGX_OK;
}


ngx_int_t
evs_track_faults_json(const evs_track_t *track, ngx_str_t *json)
{
    return evs_track_reply(track, json, evs_track_write_faults);
}


ngx_int_t
evs_track_events_json(const evs_track_t *track, ngx_str_t *json)
{
    return evs_track_reply(track, json, evs_track_write_events);
}


static void
evs_track_syntax(evs_track_t *track, evs_json_t *json)
{
    int  n;

    evs_json_settle(json, json->fault);

    n = snprintf((char *) track->syntax_text, EVS_TRACK_SYNTAX_MAX,
                 "Expecting %s: line %lu column %lu", json->expected,
                 (unsigned long) json->line, (unsigned long) json->column);

    track->syntax.data = track->syntax_text;
    track->syntax.len = ngx_min((size_t) n, EVS_TRACK_SYNTAX_MAX - 1);
}


/* As all below: NGX_OK or NGX_ABORT; faults are told to the track. */

static ngx_int_t
evs_track_body(evs_track_parser_t *parser, const evs_json_value_t *value)
{
    parser->json.pos = value->start;

    switch (value->type) {

    case EVS_JSON_ARRAY:
        parser->track->array = 1;
        return evs_track_array(parser);

    case EVS_JSON_OBJECT:
        return evs_track_item(parser);

    default:
        return evs_track_kind(parser->track, NULL, value);
    }
}


static ngx_int_t
evs_track_array(evs_track_parser_t *parser)
{
    evs_json_t   *json;
    evs_track_t  *track;

    json = &parser->json;
    track = parser->track;

    json->pos++;

    while (evs_track_next(json)) {

        if (track->nitems == parser->limits->entries) {
            return evs_track_limit(track, NULL, EVS_TRACK_WHOLE,
                                   parser->limits->entries, "elements");
        }

        if (evs_track_item(parser) != NGX_OK) {
            return NGX_ABORT;
        }
    }

    return NGX_OK;
}


static ngx_int_t
evs_track_item(evs_track_parser_t *parser)
{
    evs_json_t        *json;
    evs_json_value_t   value;
    evs_track_item_t  *item;

    json = &parser->json;

    item = evs_track_push(parser->track);
    if (item == NULL) {
        return NGX_ABORT;
    }

    if (*json->pos != '{') {

        if (evs_json_value(json, &value) != NGX_OK) {
            return NGX_ABORT;
        }

        return evs_track_kind(parser->track, item, &value);
    }

    if (evs_track_members(parser) != NGX_OK) {
        return NGX_ABORT;
    }

    return evs_track_check(parser, item);
}


static evs_track_item_t *
evs_track_push(evs_track_t *track)
{
    size_t             used;
    ngx_uint_t         n;
    evs_track_item_t  *item, *items;

    if (track->nitems == track->nalloc) {
        n = (track->nalloc != 0) ? track->nalloc * 2
                                 : track->array ? EVS_TRACK_ALLOC : 1;

        items = ngx_palloc(track->pool, n * sizeof(evs_track_item_t));
        if (items == NULL) {
            return NULL;
        }

        if (track->items != NULL) {
            used = track->nitems * sizeof(evs_track_item_t);
            ngx_memcpy(items, track->items, used);
            (void) ngx_pfree(track->pool, track->items);
        }

        track->items = items;
        track->nalloc = n;
    }

    item = &track->items[track->nitems++];
    ngx_memzero(item, sizeof(evs_track_item_t));

    return item;
}


/*
 * What evs_json_value() declines here, it took before: so it has no memory for
 * the names of an object.
 */

static ngx_int_t
evs_track_members(evs_track_parser_t *parser)
{
    evs_json_t         *json;
    evs_json_value_t    name, value;
    evs_track_field_e   field;

    json = &parser->json;
    json->pos++;
    parser->seen = 0;

    while (evs_track_next(json)) {

        if (evs_json_value(json, &name) != NGX_OK) {
            return NGX_ABORT;
        }

        json->pos = evs_lex_blanks(json->pos, json->last) + 1;

        if (evs_json_value(json, &value) != NGX_OK) {
            return NGX_ABORT;
        }

        field = evs_track_field(&name);

        parser->seen |= 1u << field;
        parser->values[field] = value;
    }

    return NGX_OK;
}


/* To the next element of a checked container, or, 0, behind its end. */

static ngx_uint_t
evs_track_next(evs_json_t *json)
{
    u_char  *p;

    for (p = json->pos; evs_lex_is_blank(*p) || *p == ','; p++) { /* void */ }

    if (*p == ']' || *p == '}') {
        json->pos = p + 1;
        return 0;
    }

    json->pos = p;

    return 1;
}


/* EVS_TRACK_WHOLE: another name. */

static evs_track_field_e
evs_track_field(const evs_json_value_t *name)
{
    ngx_str_t          text;
    evs_track_field_e  field;

    evs_track_decoded(name, &text);

    for (field = EVS_TRACK_SESSION_ID; field < EVS_TRACK_FIELDS; field++) {
        if (text.len == evs_track_names[field].len
            && memcmp(text.data, evs_track_names[field].data, text.len) == 0)
        {
            return field;
        }
    }

    return EVS_TRACK_WHOLE;
}


static ngx_int_t
evs_track_check(evs_track_parser_t *parser, evs_track_item_t *item)
{
    ngx_int_t          rc;
    evs_track_field_e  field;

    item->entry.type = EVS_ENTRY_EVENT;

    for (field = EVS_TRACK_SESSION_ID; field < EVS_TRACK_FIELDS; field++) {

        if (!evs_track_has(parser, field)) {
            rc = evs_track_fault(parser->track, item, field,
                                 &evs_track_required);

        } else if (parser->values[field].type == EVS_JSON_NULL) {
            rc = evs_track_fault(parser->track, item, field, &evs_track_null);

        } else {
            rc = evs_track_checks[field](parser, item, field);
        }

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
evs_track_session(evs_track_parser_t *parser, evs_track_item_t *item,
    evs_track_field_e field)
{
    ngx_str_t          text;
    evs_json_value_t  *value;

    value = &parser->values[field];

    if (value->type == EVS_JSON_STRING) {
        evs_track_decoded(value, &text);

        if (evs_sid_parse(&item->sid, parser->sid_kind, text.data, text.len)
            == NGX_OK)
        {
            return NGX_OK;
        }

        if (evs_track_uuid(&item->sid, text.data, text.data + text.len)
            == NGX_OK)
        {
            return NGX_OK;
        }
    }

    item->sid.len = 0;

    return evs_track_fault(parser->track, item, field,
                           parser->sid_kind == EVS_SID_ANY
                           ? &evs_track_no_sid : &evs_track_no_uuid);
}


/* The other ways to write a UUID: as a URN (RFC 4122, 3), and in braces. */

static ngx_int_t
evs_track_uuid(evs_sid_t *sid, u_char *p, u_char *last)
{
    if (evs_lex_at(p, last, EVS_TRACK_URN)) {
        p += sizeof(EVS_TRACK_URN) - 1;
    }

    if (last - p >= 2 && *p == '{' && last[-1] == '}') {
        p++;
        last--;
    }

    return evs_sid_parse(sid, EVS_SID_UUID, p, (size_t) (last - p));
}


/* A category or a name; a number is taken for its digits. */

static ngx_int_t
evs_track_string(evs_track_parser_t *parser, evs_track_item_t *item,
    evs_track_field_e field)
{
    size_t             max;
    ngx_str_t          text;
    evs_track_t       *track;
    evs_track_size_t   size;
    evs_json_value_t  *value;

    track = parser->track;
    value = &parser->values[field];

    text.data = value->start;
    text.len = (size_t) (value->last - value->start);

    if (value->type == EVS_JSON_STRING) {
        text.data++;
        text.len -= 2;

        if (value->escaped) {
            text.len = (size_t) (evs_json_canonical(text.data,
                                                    value->last - 1)
                                 - text.data);
        }

    } else if (value->type != EVS_JSON_NUMBER) {
        return evs_track_fault(track, item, field, &evs_track_no_string);
    }

    evs_track_trim(&text, &size);

    if (size.chars == 0) {
        return evs_track_fault(track, item, field, &evs_track_blank);
    }

    max = (field == EVS_TRACK_CATEGORY)
          ? parser->limits->category
          : ngx_min(parser->limits->name, EVS_TRACK_NAME_MAX);

    if (size.chars > max
        && evs_track_limit(track, item, field, max, "characters") != NGX_OK)
    {
        return NGX_ABORT;
    }

    if (size.nul
        && evs_track_fault(track, item, field, &evs_track_nul) != NGX_OK)
    {
        return NGX_ABORT;
    }

    if (size.chars <= max && !size.nul) {

        if (field == EVS_TRACK_CATEGORY) {
            item->entry.category = text;

        } else {
            item->entry.name = text;
        }
    }

    return NGX_OK;
}


ngx_int_t
evs_track_text(ngx_pool_t *pool, const ngx_str_t *plain, ngx_str_t *text)
{
    u_char            *p, *last;
    ngx_int_t          n;
    evs_track_size_t   size;

    last = plain->data + plain->len;

    for (p = plain->data; p < last; p += n) {
        n = (*p < 0x80) ? 1 : evs_json_utf8(p, last);

        if (n < 0) {
            return NGX_DECLINED;
        }
    }

    text->len = evs_json_escape(NULL, plain->data, plain->len);

    text->data = ngx_pnalloc(pool, text->len + 1);
    if (text->data == NULL) {
        return NGX_ABORT;
    }

    (void) evs_json_escape(text->data, plain->data, plain->len);

    evs_track_trim(text, &size);

    return (size.chars == 0) ? NGX_DECLINED : NGX_OK;
}


/*
 * Takes white space off both ends of the inside of a canonical string.  From
 * the end back, an escape can't be told from what only looks like one.
 */

static void
evs_track_trim(ngx_str_t *text, evs_track_size_t *size)
{
    u_char      *p, *from, *first, *end;
    size_t       chars;
    ngx_uint_t   code;

    ngx_memzero(size, sizeof(evs_track_size_t));

    chars = 0;
    first = NULL;
    end = text->data;

    for (p = text->data; p < text->data + text->len; /* void */ ) {
        from = p;
        code = evs_track_code(&p, text->data + text->len);

        if (evs_track_white(code)) {
            chars += (first != NULL);
            continue;
        }

        if (first == NULL) {
            first = from;
        }

        if (code == 0) {
            size->nul = 1;
        }

        end = p;
        size->chars = ++chars;
    }

    if (first != NULL) {
        text->data = first;
    }

    text->len = (size_t) (end - text->data);
}


/* The next character of the inside of a canonical string. */

static ngx_uint_t
evs_track_code(u_char **pos, const u_char *last)
{
    u_char      *p;
    ngx_int_t    i, n;
    ngx_uint_t   code;

    p = *pos;

    if (*p == '\\') {

        if (p[1] == 'u') {
            *pos = p + 6;
            return (ngx_uint_t) evs_lex_hex4(p + 2, last);
        }

        *pos = p + 2;

        switch (p[1]) {

        case 'b':
            return '\b';

        case 'f':
            return '\f';

        case 'n':
            return '\n';

        case 'r':
            return '\r';

        case 't':
            return '\t';

        default:
            return p[1];
        }
    }

    if (*p < 0x80) {
        *pos = p + 1;
        return *p;
    }

    n = evs_json_utf8(p, last);
    code = *p & (0x7fu >> n);

    for (i = 1; i < n; i++) {
        code = (code << 6) | (p[i] & 0x3f);
    }

    *pos = p + n;

    return code;
}


/*
 * Python's str.isspace(): Unicode's White_Space, and the four separators of
 * ASCII.
 */

static ngx_uint_t
evs_track_white(ngx_uint_t code)
{
    if (code < 0x80) {
        return code == ' ' || (code >= '\t' && code <= '\r')
               || (code >= 0x1c && code <= 0x1f);
    }

    return code == 0x85 || code == 0xa0 || code == 0x1680
           || (code >= 0x2000 && code <= 0x200a)
           || code == 0x2028 || code == 0x2029 || code == 0x202f
           || code == 0x205f || code == 0x3000;
}


static ngx_int_t
evs_track_data(evs_track_parser_t *parser, evs_track_item_t *item,
    evs_track_field_e field)
{
    u_char            *last;
    size_t             len;
    evs_json_value_t  *value;

    value = &parser->values[field];
    last = value->last;

    if (value->blanks) {
        last = evs_json_compact(value->start, last);
    }

    len = (size_t) (last - value->start);

    if (len > parser->limits->data) {
        return evs_track_limit(parser->track, item, field,
                               parser->limits->data, "bytes");
    }

    item->entry.data.data = value->start;
    item->entry.data.len = len;

    return NGX_OK;
}


static ngx_int_t
evs_track_timestamp(evs_track_parser_t *parser, evs_track_item_t *item,
    evs_track_field_e field)
{
    ngx_int_t          rc;
    ngx_str_t          text;
    evs_timestamp_t    stamp;
    evs_json_value_t  *value;

    value = &parser->values[field];

    stamp.text.data = value->start;
    stamp.text.len = (size_t) (value->last - value->start);

    rc = NGX_DECLINED;

    if (value->type == EVS_JSON_NUMBER) {
        rc = evs_time_number(stamp.text.data, stamp.text.len, &stamp.us);

    } else if (value->type == EVS_JSON_STRING) {
        evs_track_decoded(value, &text);

        rc = evs_time_string(text.data, text.len, &stamp.us);

        if (value->escaped) {

            /* no date-time needs an escape: it is kept without them */

            text.data[text.len] = '"';
            stamp.text.len = text.len + 2;
        }
    }

    if (rc != NGX_OK) {
        return evs_track_fault(parser->track, item, field,
                               &evs_track_no_time);
    }

    item->entry.timestamp = stamp;

    return NGX_OK;
}


static void
evs_track_decoded(const evs_json_value_t *value, ngx_str_t *text)
{
    u_char  *last;

    last = value->last - 1;

    if (value->escaped) {
        last = evs_json_unescape(value->start + 1, last);
    }

    text->data = value->start + 1;
    text->len = (size_t) (last - text->data);
}


/* What should have been an object isn't. */

static ngx_int_t
evs_track_kind(evs_track_t *track, evs_track_item_t *item,
    const evs_json_value_t *value)
{
    const u_char     *p;
    const ngx_str_t  *sentence;

    sentence = &evs_track_kinds[value->type];

    if (value->type == EVS_JSON_NUMBER) {
        for (p = value->start; p < value->last; p++) {
            if (*p == '.' || *p == 'e' || *p == 'E') {
                sentence = &evs_track_kinds[0];
                break;
            }
        }
    }

    return evs_track_fault(track, item, EVS_TRACK_WHOLE, sentence);
}


static ngx_int_t
evs_track_limit(evs_track_t *track, evs_track_item_t *item,
    evs_track_field_e field, size_t max, const char *unit)
{
    int        n;
    ngx_str_t  sentence;

    sentence.data = ngx_pnalloc(track->pool, EVS_TRACK_LIMIT_MAX);
    if (sentence.data == NULL) {
        return NGX_ABORT;
    }

    n = snprintf((char *) sentence.data, EVS_TRACK_LIMIT_MAX,
                 "Ensure this field has no more than %lu %s.",
                 (unsigned long) max, unit);

    sentence.len = ngx_min((size_t) n, EVS_TRACK_LIMIT_MAX - 1);

    return evs_track_fault(track, item, field, &sentence);
}


static ngx_int_t
evs_track_reply(const evs_track_t *track, ngx_str_t *json,
    evs_track_write_pt write)
{
    evs_track_out_t  out;

    ngx_memzero(&out, sizeof(evs_track_out_t));

    write(&out, track);

    out.p = ngx_pnalloc(track->pool, out.len);
    if (out.p == NULL) {
        return NGX_ABORT;
    }

    json->data = out.p;
    json->len = out.len;

    write(&out, track);

    return NGX_OK;
}


static void
evs_track_write_faults(evs_track_out_t *out, const evs_track_t *track)
{
    ngx_uint_t  i;

    if (track->faults.first != NULL) {
        evs_track_write_map(out, &track->faults);
        return;
    }

    if (track->array) {
        evs_track_put(out, "[", 1);
    }

    for (i = 0; i < track->nitems; i++) {

        if (i != 0) {
            evs_track_put(out, ",", 1);
        }

        evs_track_write_map(out, &track->items[i].faults);
    }

    if (track->array) {
        evs_track_put(out, "]", 1);
    }
}


static void
evs_track_write_map(evs_track_out_t *out, const evs_track_faults_t *faults)
{
    ngx_uint_t                n;
    evs_track_field_e         field;
    const evs_track_fault_t  *fault;

    evs_track_put(out, "{", 1);
    n = 0;

    for (field = EVS_TRACK_WHOLE; field < EVS_TRACK_FIELDS; field++) {

        for (fault = faults->first; fault != NULL; fault = fault->next) {
            if (fault->field == field) {
                break;
            }
        }

        if (fault == NULL) {
            continue;
        }

        if (n++ != 0) {
            evs_track_put(out, ",", 1);
        }

        evs_track_write_sentences(out, fault);
    }

    evs_track_put(out, "}", 1);
}


/* The sentences of a field, from its first one on. */

static void
evs_track_write_sentences(evs_track_out_t *out,
    const evs_track_fault_t *fault)
{
    evs_track_field_e  field;

    field = fault->field;

    evs_track_put(out, "\"", 1);
    evs_track_put(out, evs_track_names[field].data,
                  evs_track_names[field].len);
    evs_track_put_text(out, "\":[\"");
    evs_track_put_escaped(out, &fault->sentence);

    for (fault = fault->next; fault != NULL; fault = fault->next) {
        if (fault->field == field) {
            evs_track_put_text(out, "\",\"");
            evs_track_put_escaped(out, &fault->sentence);
        }
    }

    evs_track_put_text(out, "\"]");
}


static void
evs_track_write_events(evs_track_out_t *out, const evs_track_t *track)
{
    ngx_uint_t  i;

    if (track->array) {
        evs_track_put(out, "[", 1);
    }

    for (i = 0; i < track->nitems; i++) {

        if (i != 0) {
            evs_track_put(out, ",", 1);
        }

        evs_track_write_event(out, &track->items[i]);
    }

    if (track->array) {
        evs_track_put(out, "]", 1);
    }
}


static void
evs_track_write_event(evs_track_out_t *out, const evs_track_item_t *item)
{
    int64_t             us;
    u_char              stamp[EVS_TIME_STRING_LEN], *last;
    const evs_entry_t  *entry;

    entry = &item->entry;
    us = entry->timestamp.us;
    last = evs_time_format(stamp, us, (us % 1000000 != 0) ? 6 : 0);

    evs_track_put_text(out, "{\"session_id\":\"");
    evs_track_put(out, item->sid.data, item->sid.len);
    evs_track_put_text(out, "\",\"category\":\"");
    evs_track_put(out, entry->category.data, entry->category.len);
    evs_track_put_text(out, "\",\"name\":\"");
    evs_track_put(out, entry->name.data, entry->name.len);
    evs_track_put_text(out, "\",\"data\":");
    evs_track_put(out, entry->data.data, entry->data.len);
    evs_track_put_text(out, ",\"timestamp\":\"");
    evs_track_put(out, stamp, (size_t) (last - stamp));
    evs_track_put_text(out, "\"}");
}


static void
evs_track_put(evs_track_out_t *out, const void *text, size_t len)
{
    if (out->p != NULL) {
        out->p = ngx_cpymem(out->p, text, len);
    }

    out->len += len;
}


static void
evs_track_put_escaped(evs_track_out_t *out, const ngx_str_t *text)
{
    size_t  len;

    len = evs_json_escape(out->p, text->data, text->len);

    if (out->p != NULL) {
        out->p += len;
    }

    out->len += len;
}
