
/*
 * The strict JSON reader of the hot path (contract, section 0, "JSON in"):
 * RFC 8259 in UTF-8 with one leniency, a comma before ] or }, and with
 * duplicate names, NUL in a name and a depth over 32 rejected.  It builds no
 * tree: it steps over values and leaves slices of the text.  The text must be
 * writable: escapes are made canonical and blanks taken out in place.
 *
 * jansson is its judge: t/unit and the fuzz target hold the two side by side.
 */


#ifndef _EVS_JSON_H_INCLUDED_
#define _EVS_JSON_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define EVS_JSON_MAX_DEPTH  32

/* the value types, by what their first byte says */
typedef enum {
    EVS_JSON_STRING = 1,
    EVS_JSON_NUMBER,
    EVS_JSON_OBJECT,
    EVS_JSON_ARRAY,
    EVS_JSON_TRUE,
    EVS_JSON_FALSE,
    EVS_JSON_NULL
} evs_json_type_e;


/* names of one object, to find duplicates; reused from message to message */
typedef struct evs_json_names_s  evs_json_names_t;

evs_json_names_t *evs_json_names_create(void);      /* NULL: no memory */
void evs_json_names_destroy(evs_json_names_t *names);


typedef struct {
    u_char            *start;
    u_char            *pos;
    u_char            *last;
    evs_json_names_t  *names;
    ngx_uint_t         depth;
    const char        *expected; /* of the first fault: what would be right */
    u_char            *fault;    /* where */

    /* how far lines were counted, since text behind it may have changed */
    u_char            *settled;
    ngx_uint_t         line;     /* of settled, both from 1 */
    ngx_uint_t         column;

    unsigned           blanks:1; /* some were stepped over in this value */
} evs_json_t;


typedef struct {
    evs_json_type_e    type;
    u_char            *start;    /* the token; of a string, its quotes too */
    u_char            *last;
    unsigned           escaped:1;   /* a string with a backslash in it */
    unsigned           blanks:1;    /* a container that is not compact: has
                                       blanks or a comma before its end */
} evs_json_value_t;


/* names == NULL: an object is a fault */
void evs_json_init(evs_json_t *json, u_char *text, size_t len,
    evs_json_names_t *names);

/*
 * Steps over blanks and one whole value.  NGX_OK; NGX_ERROR: a syntax fault,
 * json->fault and ->expected say where and what; NGX_ABORT: no memory.
 */
ngx_int_t evs_json_value(evs_json_t *json, evs_json_value_t *value);

/* Line and column (in bytes, both from 1) of a place in the text. */
void evs_json_place(const u_char *start, const u_char *at, ngx_uint_t *line,
    ngx_uint_t *column);

/*
 * Counts json->line and ->column on to a place.  It is to be called before
 * text in front of that place is changed, or a later fault would be placed by
 * what is no longer there.
 */
void evs_json_settle(evs_json_t *json, const u_char *at);

/*
 * Takes the blanks and the commas before ] and } out of a checked container,
 * in place; returns its new end.
 */
u_char *evs_json_compact(u_char *start, u_char *last);

/*
 * Decodes the inside of a checked string in place (never longer); returns the
 * new end.
 */
u_char *evs_json_unescape(u_char *start, u_char *last);

/*
 * Makes the escapes of the inside of a checked string canonical, in place
 * (never longer): only ", \ and bytes below 0x20 stay escaped, as \" \\ \b \f
 * \n \r \t or \u00xx in lower case.  Returns the new end.
 */
u_char *evs_json_canonical(u_char *start, u_char *last);

/*
 * Whether a text that comes from elsewhere is what evs_json_canonical() makes:
 * 1 or 0.
 */
ngx_uint_t evs_json_is_canonical(u_char *text, size_t len);

/*
 * The reverse of unescape, for text of our own making: writes the inside of a
 * JSON string and returns its length; p == NULL: returns the length only.
 * Invalid UTF-8 becomes U+FFFD.
 */
size_t evs_json_escape(u_char *p, const u_char *text, size_t len);


#endif /* _EVS_JSON_H_INCLUDED_ */
