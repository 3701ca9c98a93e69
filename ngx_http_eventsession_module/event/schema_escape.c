
/*
 * ECMA-262 to PCRE2: what is behind a backslash; see schema_pattern.c.
 */

#include <ngx_config.h>
#include <ngx_core.h>

#include "event/schema_ecma.h"


typedef struct {
    const char  *name;
    const char  *category;
} evs_pattern_category_t;


static ngx_int_t evs_pattern_reference(evs_pattern_t *p, char c);
static ngx_int_t evs_pattern_code(evs_pattern_t *p, char c);
static ngx_int_t evs_pattern_unicode(evs_pattern_t *p, uint32_t *code);
static ngx_int_t evs_pattern_hex(evs_pattern_t *p, ngx_uint_t n,
    uint32_t *code);
static ngx_int_t evs_pattern_property(evs_pattern_t *p, char c);
static const char *evs_pattern_category(const char *name, size_t len);
static void evs_pattern_put_code(evs_pattern_t *p, uint32_t code);


/* WhiteSpace and LineTerminator of ECMA-262; and all the rest */

#define EVS_PATTERN_SPACE                                                     \
    "\\x{9}-\\x{d}\\x{20}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}"        \
    "\\x{2029}\\x{202f}\\x{205f}\\x{3000}\\x{feff}"

#define EVS_PATTERN_NO_SPACE                                                  \
    "\\x{0}-\\x{8}\\x{e}-\\x{1f}\\x{21}-\\x{9f}\\x{a1}-\\x{167f}"             \
    "\\x{1681}-\\x{1fff}\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}"               \
    "\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-\\x{fefe}"               \
    "\\x{ff00}-\\x{10ffff}"


static const evs_pattern_category_t  evs_pattern_categories[] = {
    { "Letter", "L" },
    { "LC", "L&" },
    { "Cased_Letter", "L&" },
    { "Uppercase_Letter", "Lu" },
    { "Lowercase_Letter", "Ll" },
    { "Titlecase_Letter", "Lt" },
    { "Modifier_Letter", "Lm" },
    { "Other_Letter", "Lo" },
    { "Mark", "M" },
    { "Combining_Mark", "M" },
    { "Nonspacing_Mark", "Mn" },
    { "Spacing_Mark", "Mc" },
    { "Enclosing_Mark", "Me" },
    { "Number", "N" },
    { "Decimal_Number", "Nd" },
    { "digit", "Nd" },
    { "Letter_Number", "Nl" },
    { "Other_Number", "No" },
    { "Punctuation", "P" },
    { "punct", "P" },
    { "Connector_Punctuation", "Pc" },
    { "Dash_Punctuation", "Pd" },
    { "Open_Punctuation", "Ps" },
    { "Close_Punctuation", "Pe" },
    { "Initial_Punctuation", "Pi" },
    { "Final_Punctuation", "Pf" },
    { "Other_Punctuation", "Po" },
    { "Symbol", "S" },
    { "Math_Symbol", "Sm" },
    { "Currency_Symbol", "Sc" },
    { "Modifier_Symbol", "Sk" },
    { "Other_Symbol", "So" },
    { "Separator", "Z" },
    { "Space_Separator", "Zs" },
    { "Line_Separator", "Zl" },
    { "Paragraph_Separator", "Zp" },
    { "Other", "C" },
    { "Control", "Cc" },
    { "cntrl", "Cc" },
    { "Format", "Cf" },
    { "Surrogate", "Cs" },
    { "Private_Use", "Co" },
    { "Unassigned", "Cn" },
    { NULL, NULL }
};


ngx_int_t
evs_pattern_escape(evs_pattern_t *p, ngx_uint_t class, ngx_uint_t *set)
{
    char  c;

    if (p->pos == p->last) {
        return evs_pattern_fail(p, "there is nothing behind the last \\");
    }

    c = *p->pos++;
    *set = 0;

    switch (c) {

    case 'd':
    case 'D':
    case 'w':
    case 'W':
        *set = 1;
        evs_pattern_put(p, p->pos - 2, 2);
        return NGX_OK;

    case 's':
    case 'S':
        *set = 1;
        evs_pattern_puts(p, class ? "" : "[");
        evs_pattern_puts(p, (c == 's') ? EVS_PATTERN_SPACE
                                       : EVS_PATTERN_NO_SPACE);
        evs_pattern_puts(p, class ? "" : "]");
        return NGX_OK;

    case 'p':
    case 'P':
        *set = 1;
        return evs_pattern_property(p, c);

    case 'B':
    case 'k':
    case '1': case '2': case '3': case '4': case '5':
    case '6': case '7': case '8': case '9':

        if (!class) {
            return evs_pattern_reference(p, c);
        }

        p->letter = (u_char) c;
        return evs_pattern_fail(p, "\\%c has no meaning within [ and ]");

    case 'b':

        if (!class) {
            return evs_pattern_reference(p, c);
        }

        evs_pattern_put_code(p, 0x08);
        return NGX_OK;

    default:
        return evs_pattern_code(p, c);
    }
}


static ngx_int_t
evs_pattern_reference(evs_pattern_t *p, char c)
{
    const char  *end;

    switch (c) {

    case 'b':
    case 'B':
        evs_pattern_put(p, p->pos - 2, 2);
        return NGX_OK;

    case 'k':
        end = (p->pos < p->last && *p->pos == '<')
              ? memchr(p->pos, '>', (size_t) (p->last - p->pos)) : NULL;

        if (end == NULL) {
            return evs_pattern_fail(p, "\\k needs a <name>");
        }

        end++;
        evs_pattern_puts(p, "\\k");
        break;

    default:
        p->pos--;

        for (end = p->pos; end < p->last; end++) {
            if (*end < '0' || *end > '9') {
                break;
            }
        }

        evs_pattern_puts(p, "\\g");
    }

    /* \g{1}, since \11 may be octal in PCRE */

    evs_pattern_puts(p, (c == 'k') ? "" : "{");
    evs_pattern_put(p, p->pos, (size_t) (end - p->pos));
    evs_pattern_puts(p, (c == 'k') ? "" : "}");

    p->pos = end;

    return NGX_OK;
}


/* An escape that is one character. */

static ngx_int_t
evs_pattern_code(evs_pattern_t *p, char c)
{
    uint32_t     code;
    const char  *at;

    static const char  controls[] = "tnvfr";
    static const char  codes[] = "\t\n\v\f\r";

    at = (c != '\0') ? strchr(controls, c) : NULL;

    if (at != NULL) {
        evs_pattern_put_code(p, (u_char) codes[at - controls]);
        return NGX_OK;
    }

    switch (c) {

    case '0':

        if (p->pos < p->last && *p->pos >= '0' && *p->pos <= '9') {
            return evs_pattern_fail(p, "\\0 is followed by a digit");
        }

        code = 0;
        break;

    case 'c':

        if (p->pos == p->last || !isalpha((u_char) *p->pos)) {
            return evs_pattern_fail(p, "\\c needs a letter");
        }

        code = (uint32_t) *p->pos++ & 0x1f;
        break;

    case 'x':

        if (evs_pattern_hex(p, 2, &code) != NGX_OK) {
            return evs_pattern_fail(p, "\\x needs two hex digits");
        }

        break;

    case 'u':

        if (evs_pattern_unicode(p, &code) != NGX_OK) {
            return evs_pattern_fail(p, "\\u needs four hex digits, or some in"
                                       " { and }, of a character");
        }

        break;

    default:

        if (isalnum((u_char) c)) {
            p->letter = (u_char) c;
            return evs_pattern_fail(p, "\\%c is unknown in ECMA-262");
        }

        if ((u_char) c < 0x80) {
            evs_pattern_put(p, "\\", 1);
        }

        evs_pattern_put(p, &c, 1);
        return NGX_OK;
    }

    evs_pattern_put_code(p, code);

    return NGX_OK;
}


static ngx_int_t
evs_pattern_unicode(evs_pattern_t *p, uint32_t *code)
{
    uint32_t    low;
    ngx_uint_t  n;

    if (p->pos < p->last && *p->pos == '{') {
        p->pos++;

        for (n = 0; p->last - p->pos > (ssize_t) n; n++) {
            if (p->pos[n] == '}') {
                break;
            }
        }

        if (n == 0 || n > 6 || evs_pattern_hex(p, n, code) != NGX_OK
            || p->pos++ == p->last)
        {
            return NGX_ERROR;
        }

    } else if (evs_pattern_hex(p, 4, code) != NGX_OK) {
        return NGX_ERROR;

    } else if (*code >= 0xd800 && *code < 0xdc00) {

        if (p->last - p->pos < 6 || p->pos[0] != '\\' || p->pos[1] != 'u') {
            return NGX_ERROR;
        }

        p->pos += 2;

        if (evs_pattern_hex(p, 4, &low) != NGX_OK || (low >> 10) != 0x37) {
            return NGX_ERROR;
        }

        *code = 0x10000 + ((*code & 0x3ff) << 10) + (low & 0x3ff);
    }

    /* half of a pair is no character */

    return (*code > 0x10ffff || (*code >= 0xd800 && *code < 0xe000))
           ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
evs_pattern_hex(evs_pattern_t *p, ngx_uint_t n, uint32_t *code)
{
    u_char  c;

    if (p->last - p->pos < (ssize_t) n) {
        return NGX_ERROR;
    }

    *code = 0;

    while (n-- > 0) {
        c = (u_char) *p->pos++;

        if (!isxdigit(c)) {
            return NGX_ERROR;
        }

        *code = *code * 16
                + (uint32_t) (isdigit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
    }

    return NGX_OK;
}


/* {L}, {Letter}, {gc=...}, {sc=...}, {scx=...}, {Alphabetic} */

static ngx_int_t
evs_pattern_property(evs_pattern_t *p, char c)
{
    size_t       len, skip;
    const char  *end, *equals, *kind, *category;

    end = (p->pos < p->last && *p->pos == '{')
          ? memchr(p->pos, '}', (size_t) (p->last - p->pos)) : NULL;

    if (end == NULL) {
        return evs_pattern_fail(p, "\\p needs {a property}");
    }

    p->pos++;
    len = (size_t) (end - p->pos);
    kind = "";
    equals = memchr(p->pos, '=', len);

    if (equals != NULL) {
        skip = (size_t) (equals - p->pos);

#define evs_pattern_is(text)                                                  \
        (skip == sizeof(text) - 1 && ngx_strncmp(p->pos, text, skip) == 0)

        if (evs_pattern_is("Script") || evs_pattern_is("sc")) {
            kind = "sc:";

        } else if (evs_pattern_is("Script_Extensions")
                   || evs_pattern_is("scx"))
        {
            kind = "scx:";

        } else if (!evs_pattern_is("General_Category")
                   && !evs_pattern_is("gc"))
        {
            return evs_pattern_fail(p, "\\p knows General_Category=, Script= "
                                       "and Script_Extensions=");
        }

        p->pos = equals + 1;
        len = (size_t) (end - p->pos);
    }

    category = (*kind == '\0') ? evs_pattern_category(p->pos, len) : NULL;

    evs_pattern_puts(p, (c == 'p') ? "\\p{" : "\\P{");
    evs_pattern_puts(p, kind);

    if (category != NULL) {
        evs_pattern_puts(p, category);

    } else {
        evs_pattern_put(p, p->pos, len);
    }

    evs_pattern_puts(p, "}");
    p->pos = end + 1;

    return NGX_OK;
}


/* NULL: PCRE has the same name for it, or none. */

static const char *
evs_pattern_category(const char *name, size_t len)
{
    const evs_pattern_category_t  *category;

    for (category = evs_pattern_categories;
         category->name != NULL;
         category++)
    {
        if (ngx_strlen(category->name) == len
            && ngx_strncmp(category->name, name, len) == 0)
        {
            return category->category;
        }
    }

    return NULL;
}


static void
evs_pattern_put_code(evs_pattern_t *p, uint32_t code)
{
    int   n;
    char  buf[sizeof("\\x{10ffff}")];

    n = snprintf(buf, sizeof(buf), "\\x{%x}", (unsigned) code);

    evs_pattern_put(p, buf, (size_t) n);
}
