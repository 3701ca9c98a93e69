
/*
 * Objects with fields, see fields.h.
 *
 * The text is validated as a whole first, so that a syntax fault goes before
 * any other; then it is walked once more, knowing that it is right.  An object
 * is read to its end before any of its text is changed.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/fields.h"
#include "event/lex.h"


#define EVS_FIELDS_ALLOC     8       /* items of an array, at first */

#define EVS_FIELDS_LIMIT_MAX                                                 \
    (sizeof("Ensure this field has no more than  characters.")               \
     + NGX_SIZE_T_LEN)


typedef struct {
    evs_fields_t        *fields;
    evs_json_t           json;

    unsigned             seen;       /* of the item: a bit a field; the values
                                        of others are not set */
    evs_json_value_t     values[EVS_FIELDS_MAX];
} evs_fields_parser_t;


typedef struct {
    size_t               chars;
    unsigned             nul:1;      /* there is one */
} evs_fields_size_t;


static void evs_fields_syntax(evs_fields_t *fields, evs_json_t *json);
static ngx_int_t evs_fields_body(evs_fields_parser_t *parser, const
    evs_json_value_t *value);
static ngx_int_t evs_fields_array(evs_fields_parser_t *parser);
static ngx_int_t evs_fields_item(evs_fields_parser_t *parser);
static evs_fields_item_t *evs_fields_push(evs_fields_t *fields);
static evs_fields_item_t *evs_fields_nth(const evs_fields_t *fields, ngx_uint_t
    n);
static ngx_int_t evs_fields_members(evs_fields_parser_t *parser);
static ngx_uint_t evs_fields_next(evs_json_t *json);
static ngx_uint_t evs_fields_named(const evs_fields_table_t *table, const
    evs_json_value_t *name);
static ngx_int_t evs_fields_check(evs_fields_parser_t *parser,
    evs_fields_item_t *item);
static ngx_int_t evs_fields_declined(ngx_int_t rc);
static void evs_fields_trim(ngx_str_t *text, evs_fields_size_t *size);
static ngx_uint_t evs_fields_code(u_char **pos, const u_char *last);
static ngx_uint_t evs_fields_white(ngx_uint_t code);
static ngx_int_t evs_fields_kind(evs_fields_t *fields, evs_fields_item_t *item,
    const evs_json_value_t *value);
static ngx_int_t evs_fields_limit(evs_fields_t *fields, evs_fields_item_t
    *item, ngx_uint_t field, size_t max, const char *unit);
static void evs_fields_write_faults(evs_fields_out_t *out, const void *data);
static void evs_fields_write_map(evs_fields_out_t *out, const
    evs_fields_table_t *table, const evs_fields_item_t *item);
static void evs_fields_write_sentences(evs_fields_out_t *out, const
    evs_fields_fault_t *fault);
static void evs_fields_put_escaped(evs_fields_out_t *out, const ngx_str_t
    *text);


/* the sentences, as applications know them */

static const ngx_str_t  evs_fields_required =
    ngx_string("This field is required.");

static const ngx_str_t  evs_fields_null =
    ngx_string("This field may not be null.");

static const ngx_str_t  evs_fields_blank =
    ngx_string("This field may not be blank.");

static const ngx_str_t  evs_fields_no_string =
    ngx_string("Not a valid string.");

static const ngx_str_t  evs_fields_nul =
    ngx_string("Null characters are not allowed.");

/* by evs_json_type_e, but a number with a fraction or an exponent */

static const ngx_str_t  evs_fields_kinds[] = {
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
evs_fields_parse(evs_fields_t *fields, u_char *text, size_t len,
    evs_json_names_t *names)
{
    u_char               *p;
    ngx_int_t             rc;
    evs_json_t           *json;
    evs_json_value_t      value;
    evs_fields_parser_t   parser;

    fields->items = NULL;
    fields->nitems = 0;
    fields->nalloc = 0;
    fields->nfaulty = 0;
    fields->whole.first = NULL;
    fields->syntax.len = 0;
    fields->array = 0;

    ngx_memzero(&parser, sizeof(evs_fields_parser_t));
    parser.fields = fields;
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
        evs_fields_syntax(fields, json);
        rc = NGX_DECLINED;

    } else if (rc == NGX_OK) {
        rc = evs_fields_body(&parser, &value);
    }

    return rc;
}


ngx_int_t
evs_fields_fault(evs_fields_t *fields, evs_fields_item_t *item,
    ngx_uint_t field, const ngx_str_t *sentence)
{
    evs_fields_fault_t  *fault;

    fault = ngx_palloc(fields->pool, sizeof(evs_fields_fault_t));
    if (fault == NULL) {
        return NGX_ABORT;
    }

    fault->next = NULL;
    fault->field = field;
    fault->sentence = *sentence;

    if (item == NULL) {
        item = &fields->whole;
    }

    if (item->first == NULL) {
        item->first = fault;
        fields->nfaulty++;

    } else {
        item->last->next = fault;
    }

    item->last = fault;

    return NGX_OK;
}


static void
evs_fields_syntax(evs_fields_t *fields, evs_json_t *json)
{
    int  n;

    evs_json_settle(json, json->fault);

    n = snprintf((char *) fields->syntax_text, EVS_FIELDS_SYNTAX_MAX,
                 "Expecting %s: line %lu column %lu", json->expected,
                 (unsigned long) json->line, (unsigned long) json->column);

    fields->syntax.data = fields->syntax_text;
    fields->syntax.len = ngx_min((size_t) n, EVS_FIELDS_SYNTAX_MAX - 1);
}


/* As all below: NGX_OK or NGX_ABORT; faults are added. */

static ngx_int_t
evs_fields_body(evs_fields_parser_t *parser, const evs_json_value_t *value)
{
    evs_fields_t  *fields;

    fields = parser->fields;
    parser->json.pos = value->start;

    if (value->type == EVS_JSON_OBJECT) {
        return evs_fields_item(parser);
    }

    if (value->type == EVS_JSON_ARRAY && fields->table->array) {
        fields->array = 1;
        return evs_fields_array(parser);
    }

    return evs_fields_kind(fields, NULL, value);
}


static ngx_int_t
evs_fields_array(evs_fields_parser_t *parser)
{
    evs_json_t    *json;
    evs_fields_t  *fields;

    json = &parser->json;
    fields = parser->fields;

    json->pos++;

    while (evs_fields_next(json)) {

        if (fields->nitems == fields->max) {
            return evs_fields_limit(fields, NULL, EVS_FIELDS_WHOLE,
                                    fields->max, "elements");
        }

        if (evs_fields_item(parser) != NGX_OK) {
            return NGX_ABORT;
        }
    }

    return NGX_OK;
}


static ngx_int_t
evs_fields_item(evs_fields_parser_t *parser)
{
    evs_json_t         *json;
    evs_json_value_t    value;
    evs_fields_item_t  *item;

    json = &parser->json;

    item = evs_fields_push(parser->fields);
    if (item == NULL) {
        return NGX_ABORT;
    }

    if (*json->pos != '{') {

        if (evs_json_value(json, &value) != NGX_OK) {
            return NGX_ABORT;
        }

        return evs_fields_kind(parser->fields, item, &value);
    }

    if (evs_fields_members(parser) != NGX_OK) {
        return NGX_ABORT;
    }

    return evs_fields_check(parser, item);
}


static evs_fields_item_t *
evs_fields_push(evs_fields_t *fields)
{
    size_t       size;
    u_char      *items;
    ngx_uint_t   n;

    size = fields->table->size;

    if (fields->nitems == fields->nalloc) {
        n = (fields->nalloc != 0) ? fields->nalloc * 2
                                  : fields->array ? EVS_FIELDS_ALLOC : 1;

        items = ngx_palloc(fields->pool, n * size);
        if (items == NULL) {
            return NULL;
        }

        if (fields->items != NULL) {
            ngx_memcpy(items, fields->items, fields->nitems * size);
            (void) ngx_pfree(fields->pool, fields->items);
        }

        fields->items = items;
        fields->nalloc = n;
    }

    fields->nitems++;

    items = (u_char *) evs_fields_nth(fields, fields->nitems - 1);
    ngx_memzero(items, size);

    return (evs_fields_item_t *) (void *) items;
}


static evs_fields_item_t *
evs_fields_nth(const evs_fields_t *fields, ngx_uint_t n)
{
    return (evs_fields_item_t *) (void *)
           (fields->items + n * fields->table->size);
}


/*
 * What evs_json_value() declines here, it took before: so it has no memory for
 * the names of an object.
 */

static ngx_int_t
evs_fields_members(evs_fields_parser_t *parser)
{
    ngx_uint_t         field;
    evs_json_t        *json;
    evs_json_value_t   name, value;

    json = &parser->json;
    json->pos++;
    parser->seen = 0;

    while (evs_fields_next(json)) {

        if (evs_json_value(json, &name) != NGX_OK) {
            return NGX_ABORT;
        }

        json->pos = evs_lex_blanks(json->pos, json->last) + 1;

        if (evs_json_value(json, &value) != NGX_OK) {
            return NGX_ABORT;
        }

        field = evs_fields_named(parser->fields->table, &name);

        parser->seen |= 1u << field;
        parser->values[field] = value;
    }

    return NGX_OK;
}


/* To the next element of a checked container, or, 0, behind its end. */

static ngx_uint_t
evs_fields_next(evs_json_t *json)
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


/* EVS_FIELDS_WHOLE: another name. */

static ngx_uint_t
evs_fields_named(const evs_fields_table_t *table, const evs_json_value_t *name)
{
    ngx_str_t         text;
    ngx_uint_t        i;
    const ngx_str_t  *field;

    evs_fields_decoded(name, &text);

    for (i = EVS_FIELDS_WHOLE + 1; i < table->n; i++) {
        field = &table->fields[i].name;

        if (text.len == field->len
            && memcmp(text.data, field->data, text.len) == 0)
        {
            return i;
        }
    }

    return EVS_FIELDS_WHOLE;
}


static ngx_int_t
evs_fields_check(evs_fields_parser_t *parser, evs_fields_item_t *item)
{
    ngx_int_t          rc;
    ngx_uint_t         i;
    evs_fields_t      *fields;
    evs_json_value_t  *value;

    fields = parser->fields;

    for (i = EVS_FIELDS_WHOLE + 1; i < fields->table->n; i++) {
        value = &parser->values[i];

        if ((parser->seen & (1u << i)) == 0) {
            rc = evs_fields_fault(fields, item, i, &evs_fields_required);

        } else if (value->type == EVS_JSON_NULL) {
            rc = evs_fields_fault(fields, item, i, &evs_fields_null);

        } else {
            rc = fields->table->fields[i].check(fields, item, i, value);
        }

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


ngx_int_t
evs_fields_string(evs_fields_t *fields, evs_fields_item_t *item,
    ngx_uint_t field, evs_json_value_t *value, size_t max, ngx_str_t *text)
{
    u_char             *last;
    evs_fields_size_t   size;

    text->data = value->start;
    text->len = (size_t) (value->last - value->start);

    if (value->type == EVS_JSON_STRING) {
        text->data++;
        last = value->last - 1;

        if (value->escaped) {
            last = evs_json_canonical(text->data, last);
        }

        text->len = (size_t) (last - text->data);

    } else if (value->type != EVS_JSON_NUMBER) {
        text->len = 0;
        return evs_fields_declined(evs_fields_fault(fields, item, field,
                                                    &evs_fields_no_string));
    }

    evs_fields_trim(text, &size);

    if (size.chars == 0) {
        return evs_fields_declined(evs_fields_fault(fields, item, field,
                                                    &evs_fields_blank));
    }

    if (size.chars > max
        && evs_fields_limit(fields, item, field, max, "characters") != NGX_OK)
    {
        return NGX_ABORT;
    }

    if (size.nul
        && evs_fields_fault(fields, item, field, &evs_fields_nul) != NGX_OK)
    {
        return NGX_ABORT;
    }

    return (size.chars > max || size.nul) ? NGX_DECLINED : NGX_OK;
}


/* A fault was to be added. */

static ngx_int_t
evs_fields_declined(ngx_int_t rc)
{
    return (rc == NGX_OK) ? NGX_DECLINED : rc;
}


ngx_int_t
evs_fields_text(ngx_pool_t *pool, const ngx_str_t *plain, ngx_str_t *text)
{
    u_char            *p, *last;
    ngx_int_t          n;
    evs_fields_size_t   size;

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

    evs_fields_trim(text, &size);

    return (size.chars == 0) ? NGX_DECLINED : NGX_OK;
}


/*
 * Takes white space off both ends of the inside of a canonical string.  From
 * the end back, an escape can't be told from what only looks like one.
 */

static void
evs_fields_trim(ngx_str_t *text, evs_fields_size_t *size)
{
    u_char      *p, *from, *first, *end;
    size_t       chars;
    ngx_uint_t   code;

    ngx_memzero(size, sizeof(evs_fields_size_t));

    chars = 0;
    first = NULL;
    end = text->data;

    for (p = text->data; p < text->data + text->len; /* void */ ) {
        from = p;
        code = evs_fields_code(&p, text->data + text->len);

        if (evs_fields_white(code)) {
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
evs_fields_code(u_char **pos, const u_char *last)
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
evs_fields_white(ngx_uint_t code)
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


ngx_int_t
evs_fields_data(evs_fields_t *fields, evs_fields_item_t *item,
    ngx_uint_t field, evs_json_value_t *value, size_t max, ngx_str_t *data)
{
    u_char  *last;

    last = value->last;

    if (value->blanks) {
        last = evs_json_compact(value->start, last);
    }

    data->data = value->start;
    data->len = (size_t) (last - value->start);

    if (data->len > max) {
        return evs_fields_declined(evs_fields_limit(fields, item, field, max,
                                                    "bytes"));
    }

    return NGX_OK;
}


void
evs_fields_decoded(const evs_json_value_t *value, ngx_str_t *text)
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
evs_fields_kind(evs_fields_t *fields, evs_fields_item_t *item,
    const evs_json_value_t *value)
{
    const u_char     *p;
    const ngx_str_t  *sentence;

    sentence = &evs_fields_kinds[value->type];

    if (value->type == EVS_JSON_NUMBER) {
        for (p = value->start; p < value->last; p++) {
            if (*p == '.' || *p == 'e' || *p == 'E') {
                sentence = &evs_fields_kinds[0];
                break;
            }
        }
    }

    return evs_fields_fault(fields, item, EVS_FIELDS_WHOLE, sentence);
}


static ngx_int_t
evs_fields_limit(evs_fields_t *fields, evs_fields_item_t *item,
    ngx_uint_t field, size_t max, const char *unit)
{
    int        n;
    ngx_str_t  sentence;

    sentence.data = ngx_pnalloc(fields->pool, EVS_FIELDS_LIMIT_MAX);
    if (sentence.data == NULL) {
        return NGX_ABORT;
    }

    n = snprintf((char *) sentence.data, EVS_FIELDS_LIMIT_MAX,
                 "Ensure this field has no more than %lu %s.",
                 (unsigned long) max, unit);

    sentence.len = ngx_min((size_t) n, EVS_FIELDS_LIMIT_MAX - 1);

    return evs_fields_fault(fields, item, field, &sentence);
}


ngx_int_t
evs_fields_faults_json(const evs_fields_t *fields, ngx_str_t *json)
{
    return evs_fields_reply(fields->pool, json, evs_fields_write_faults,
                            fields);
}


static void
evs_fields_write_faults(evs_fields_out_t *out, const void *data)
{
    const evs_fields_t  *fields = data;

    ngx_uint_t  i;

    if (fields->whole.first != NULL) {
        evs_fields_write_map(out, fields->table, &fields->whole);
        return;
    }

    if (fields->array) {
        evs_fields_put(out, "[", 1);
    }

    for (i = 0; i < fields->nitems; i++) {

        if (i != 0) {
            evs_fields_put(out, ",", 1);
        }

        evs_fields_write_map(out, fields->table, evs_fields_nth(fields, i));
    }

    if (fields->array) {
        evs_fields_put(out, "]", 1);
    }
}


static void
evs_fields_write_map(evs_fields_out_t *out, const evs_fields_table_t *table,
    const evs_fields_item_t *item)
{
    ngx_uint_t                 i, n;
    const evs_fields_fault_t  *fault;

    evs_fields_put(out, "{", 1);
    n = 0;

    for (i = EVS_FIELDS_WHOLE; i < table->n; i++) {

        for (fault = item->first; fault != NULL; fault = fault->next) {
            if (fault->field == i) {
                break;
            }
        }

        if (fault == NULL) {
            continue;
        }

        if (n++ != 0) {
            evs_fields_put(out, ",", 1);
        }

        evs_fields_put(out, "\"", 1);
        evs_fields_put_str(out, &table->fields[i].name);
        evs_fields_write_sentences(out, fault);
    }

    evs_fields_put(out, "}", 1);
}


/* The sentences of a field, from its first one on. */

static void
evs_fields_write_sentences(evs_fields_out_t *out,
    const evs_fields_fault_t *fault)
{
    ngx_uint_t  field;

    field = fault->field;

    evs_fields_put_lit(out, "\":[\"");
    evs_fields_put_escaped(out, &fault->sentence);

    for (fault = fault->next; fault != NULL; fault = fault->next) {
        if (fault->field == field) {
            evs_fields_put_lit(out, "\",\"");
            evs_fields_put_escaped(out, &fault->sentence);
        }
    }

    evs_fields_put_lit(out, "\"]");
}


static void
evs_fields_put_escaped(evs_fields_out_t *out, const ngx_str_t *text)
{
    size_t  len;

    len = evs_json_escape(out->p, text->data, text->len);

    if (out->p != NULL) {
        out->p += len;
    }

    out->len += len;
}


ngx_int_t
evs_fields_reply(ngx_pool_t *pool, ngx_str_t *json, evs_fields_write_pt write,
    const void *data)
{
    evs_fields_out_t  out;

    ngx_memzero(&out, sizeof(evs_fields_out_t));

    write(&out, data);

    out.p = ngx_pnalloc(pool, out.len);
    if (out.p == NULL) {
        return NGX_ABORT;
    }

    json->data = out.p;
    json->len = out.len;

    write(&out, data);

    return NGX_OK;
}


void
evs_fields_put(evs_fields_out_t *out, const void *text, size_t len)
{
    if (out->p != NULL) {
        out->p = ngx_cpymem(out->p, text, len);
    }

    out->len += len;
}


void
evs_fields_put_str(evs_fields_out_t *out, const ngx_str_t *text)
{
    evs_fields_put(out, text->data, text->len);
}
