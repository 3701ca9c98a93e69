
/*
 * The tokens of JSON, for the files of this room only.  What the hot path
 * takes for every entry is inline; text is never read past its end, so the
 * last bytes of a message go a slower way than the others.
 */


#ifndef _EVS_LEX_H_INCLUDED_
#define _EVS_LEX_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/json.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif


#define EVS_LEX_ONES   0x0101010101010101ULL
#define EVS_LEX_HIGHS  0x8080808080808080ULL


/* what two files expect */
#define EVS_LEX_NAME        "a name in double quotes"
#define EVS_LEX_COLON       "':' after a name"
#define EVS_LEX_MEMBER_END  "',' or '}' after a value"
#define EVS_LEX_DUPLICATE   "a name that its object does not have yet"


#define evs_lex_digit(c)      ((u_char) ((c) - '0') <= 9)

#define evs_lex_is_blank(c)                                                  \
    ((c) == ' ' || (c) == '\n' || (c) == '\r' || (c) == '\t')

/* a byte that may not simply be stepped over inside of a string */
#define evs_lex_special(c)                                                   \
    ((c) == '"' || (c) == '\\' || (c) < 0x20 || (c) >= 0x80)

#define evs_lex_zeros(x)      (((x) - EVS_LEX_ONES) & ~(x) & EVS_LEX_HIGHS)

/* a constant text (its length known to the compiler) lies at p */
#define evs_lex_at(p, last, text)                                            \
    ((size_t) ((last) - (p)) >= sizeof(text) - 1                             \
     && memcmp(p, text, sizeof(text) - 1) == 0)


typedef struct {
    ngx_uint_t         count;
    size_t             len;
} evs_json_names_mark_t;


typedef struct {
    uint64_t           prefix;   /* the first bytes, set to sort by */
    u_char            *at;       /* its quote in the text */
    u_char            *data;     /* decoded; NULL: it lies at names->text + */
    size_t             offset;
    size_t             len;
} evs_json_name_t;


/* a stack: the names of the objects that are open, the outermost first */

struct evs_json_names_s {
    evs_json_names_mark_t   used;

    evs_json_name_t        *names;
    size_t                  size;       /* in bytes, as text_size */

    u_char                 *text;       /* of names that had escapes */
    size_t                  text_size;
};


/* Records the fault and returns NGX_ERROR. */
ngx_int_t evs_json_fail(evs_json_t *json, const u_char *at,
    const char *expected);

/*
 * From anywhere inside of a string, but an escape or a UTF-8 sequence, to its
 * closing quote; escaped is set when an escape lies between.  NULL: a fault.
 */
u_char *evs_json_string_end(evs_json_t *json, u_char *p, ngx_uint_t *escaped);

/*
 * Adds the inside of a string to the names of the current object.  NGX_OK,
 * NGX_ERROR (it has a NUL in it) or NGX_ABORT; name is what it decodes to,
 * valid until a name is added.
 */
ngx_int_t evs_json_name_add(evs_json_t *json, u_char *start, u_char *last,
    ngx_uint_t escaped, ngx_str_t *name);

/*
 * At the end of an object: whether the names added since mark was taken are
 * all different, NGX_OK or NGX_ERROR.  They are forgotten.
 */
ngx_int_t evs_json_names_check(evs_json_t *json,
    const evs_json_names_mark_t *mark);

/* Forgets all names, and gives memory back that few messages need. */
void evs_json_names_reset(evs_json_names_t *names);

/*
 * The length of the UTF-8 sequence that begins at p with a byte over 0x7f; or,
 * negative, of what is to be replaced as one (Unicode, 3.9, U+FFFD
 * Substitution of Maximal Subparts).
 */
ngx_int_t evs_json_utf8(const u_char *p, const u_char *last);


static ngx_inline uint64_t
evs_lex_load(const u_char *p)
{
    uint64_t  x;

    ngx_memcpy(&x, p, 8);

    return x;
}


static ngx_inline u_char *
evs_lex_blanks(u_char *p, const u_char *last)
{
    while (p < last && evs_lex_is_blank(*p)) {
        p++;
    }

    return p;
}


/* The first special byte of a string's inside, or last. */

static ngx_inline u_char *
evs_lex_plain(u_char *p, const u_char *last)
{
#if defined(__SSE2__)
    int       mask;
    __m128i   x;
#endif
    uint64_t  y;

#if defined(__SSE2__)

    while (last - p >= 16) {
        x = _mm_loadu_si128((const __m128i *) (const void *) p);

        /* as signed bytes, those from 0x80 on are less than a blank too */
        mask = _mm_movemask_epi8(
                   _mm_or_si128(_mm_cmplt_epi8(x, _mm_set1_epi8(0x20)),
                       _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('"')),
                                    _mm_cmpeq_epi8(x, _mm_set1_epi8('\\')))));

        if (mask != 0) {
            return p + __builtin_ctz((unsigned) mask);
        }

        p += 16;
    }

#endif

    while (last - p >= 8) {
        y = evs_lex_load(p);

        if ((y & EVS_LEX_HIGHS)
            | ((y - EVS_LEX_ONES * 0x20) & ~y & EVS_LEX_HIGHS)
            | evs_lex_zeros(y ^ (EVS_LEX_ONES * '"'))
            | evs_lex_zeros(y ^ (EVS_LEX_ONES * '\\')))
        {
            break;
        }

        p += 8;
    }

    while (p < last && !evs_lex_special(*p)) {
        p++;
    }

    return p;
}


/* Eight digits, in any byte order. */

static ngx_inline ngx_uint_t
evs_lex_8_digits(uint64_t x)
{
    return ((x & (EVS_LEX_ONES * 0xf0))
            | (((x + EVS_LEX_ONES * 6) & (EVS_LEX_ONES * 0xf0)) >> 4))
           == EVS_LEX_ONES * 0x33;
}


static ngx_inline u_char *
evs_lex_digits(u_char *p, const u_char *last)
{
    while (last - p >= 8 && evs_lex_8_digits(evs_lex_load(p))) {
        p += 8;
    }

    while (p < last && evs_lex_digit(*p)) {
        p++;
    }

    return p;
}


/* What four hex digits at p stand for, or NGX_ERROR. */

static ngx_inline ngx_int_t
evs_lex_hex4(const u_char *p, const u_char *last)
{
    u_char      c;
    ngx_int_t   code;
    ngx_uint_t  i;

    if (last - p < 4) {
        return NGX_ERROR;
    }

    code = 0;

    for (i = 0; i < 4; i++) {
        c = p[i];

        if (evs_lex_digit(c)) {
            code = code * 16 + (c - '0');
            continue;
        }

        c |= 0x20;

        if (c < 'a' || c > 'f') {
            return NGX_ERROR;
        }

        code = code * 16 + (c - 'a' + 10);
    }

    return code;
}


#endif /* _EVS_LEX_H_INCLUDED_ */
