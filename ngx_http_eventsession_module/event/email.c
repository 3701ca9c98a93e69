
/*
 * Addresses of e-mail, see email.h.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include <arpa/inet.h>

#include "event/email.h"
#include "event/lex.h"


#define EVS_EMAIL_MAX        320     /* characters: RFC 3696, 3 */
#define EVS_EMAIL_LABEL_MAX  63      /* bytes: RFC 1034, 3.1 */
#define EVS_EMAIL_IP_MAX     45      /* "ffff:...:255.255.255.255" */
#define EVS_EMAIL_ACE_LEN    4       /* "xn--" */

/* RFC 3492, 5 */
#define EVS_EMAIL_BASE       36
#define EVS_EMAIL_T_MIN      1
#define EVS_EMAIL_T_MAX      26
#define EVS_EMAIL_SKEW       38
#define EVS_EMAIL_DAMP       700
#define EVS_EMAIL_BIAS       72
#define EVS_EMAIL_FIRST      0x80

#define evs_email_alnum(c)                                                   \
    (evs_lex_digit(c) || (((c) | 0x20) >= 'a' && ((c) | 0x20) <= 'z'))


static size_t evs_email_chars(const u_char *p, const u_char *last);
static ngx_uint_t evs_email_atoms(const u_char *p, const u_char *last);
static ngx_uint_t evs_email_quoted(const u_char *p, const u_char *last);
static ngx_uint_t evs_email_domain(const u_char *p, const u_char *last);
static ngx_uint_t evs_email_label(const u_char *p, const u_char *last,
    ngx_uint_t top);
static ngx_uint_t evs_email_international(const u_char *p,
    const u_char *last);
static size_t evs_email_punycode(const uint32_t *codes, ngx_uint_t n);
static ngx_uint_t evs_email_bias(ngx_uint_t delta, ngx_uint_t n,
    ngx_uint_t first);
static uint32_t evs_email_code(const u_char **pos, const u_char *last);
static ngx_uint_t evs_email_ip(const u_char *p, const u_char *last);


ngx_uint_t
evs_email_valid(const u_char *text, size_t len)
{
    const u_char  *p, *last;

    last = text + len;

    for (p = last; p > text && p[-1] != '@'; p--) { /* void */ }

    if (p == text || evs_email_chars(text, last) > EVS_EMAIL_MAX) {
        return 0;
    }

    return (evs_email_atoms(text, p - 1) || evs_email_quoted(text, p - 1))
           && evs_email_domain(p, last);
}


static size_t
evs_email_chars(const u_char *p, const u_char *last)
{
    size_t  n;

    for (n = 0; p < last; p++) {
        n += (*p < 0x80 || *p >= 0xc0);
    }

    return n;
}


/* A dot-atom: RFC 5322, 3.2.3 */

static ngx_uint_t
evs_email_atoms(const u_char *p, const u_char *last)
{
    ngx_uint_t  atom;

    static const u_char  marks[] = "-!#$%&'*+/=?^_`{}|~";

    for (atom = 0; p < last; p++) {

        if (*p == '.') {
            if (!atom) {
                return 0;
            }

            atom = 0;
            continue;
        }

        if (!evs_email_alnum(*p)
            && memchr(marks, *p, sizeof(marks) - 1) == NULL)
        {
            return 0;
        }

        atom = 1;
    }

    return atom;
}


/* A quoted string in ASCII, in which a blank must be escaped. */

static ngx_uint_t
evs_email_quoted(const u_char *p, const u_char *last)
{
    ngx_uint_t  escaped;

    if (last - p < 2 || *p != '"' || last[-1] != '"') {
        return 0;
    }

    escaped = 0;

    for (p++, last--; p < last; p++) {

        if (*p == '\0' || *p == '\n' || *p == '\r' || *p >= 0x80) {
            return 0;
        }

        if (escaped) {
            escaped = 0;
            continue;
        }

        if (*p == '\t' || *p == ' ' || *p == '"') {
            return 0;
        }

        escaped = (*p == '\\');
    }

    return !escaped;
}


static ngx_uint_t
evs_email_domain(const u_char *p, const u_char *last)
{
    ngx_uint_t     labels;
    const u_char  *dot;

    if (last - p == sizeof("localhost") - 1 && evs_lex_at(p, last, "localhost"))
    {
        return 1;
    }

    if (last - p > 2 && *p == '[' && last[-1] == ']') {
        return evs_email_ip(p + 1, last - 1);
    }

    for (labels = 0; /* void */ ; labels++) {
        dot = memchr(p, '.', (size_t) (last - p));

        if (dot == NULL) {
            return labels != 0 && evs_email_label(p, last, 1);
        }

        if (!evs_email_label(p, dot, 0)) {
            return 0;
        }

        p = dot + 1;
    }
}


static ngx_uint_t
evs_email_label(const u_char *p, const u_char *last, ngx_uint_t top)
{
    const u_char  *q;

    if (p == last || last[-1] == '-') {
        return 0;
    }

    if (top ? (last - p < 2) : (*p == '-')) {
        return 0;
    }

    for (q = p; q < last; q++) {

        if (*q >= 0x80) {
            return evs_email_international(p, last);
        }

        if (!evs_email_alnum(*q) && *q != '-') {
            return 0;
        }
    }

    return last - p <= EVS_EMAIL_LABEL_MAX;
}


/* A label that has to be encoded for the DNS: RFC 3490. */

static ngx_uint_t
evs_email_international(const u_char *p, const u_char *last)
{
    uint32_t    codes[EVS_EMAIL_LABEL_MAX], code;
    ngx_uint_t  n;

    /* encoded it would be taken for what it isn't */

    if (last - p >= 4 && (p[0] | 0x20) == 'x' && (p[1] | 0x20) == 'n'
        && p[2] == '-' && p[3] == '-')
    {
        return 0;
    }

    for (n = 0; p < last; n++) {
        code = evs_email_code(&p, last);

        /* controls, and the blanks that are not ASCII's */

        if (n == EVS_EMAIL_LABEL_MAX
            || (code < 0x80 && !evs_email_alnum(code) && code != '-')
            || (code >= 0x80 && code < 0xa1) || code == 0x1680
            || (code >= 0x2000 && code <= 0x200f)
            || (code >= 0x2028 && code <= 0x202f)
            || (code >= 0x205f && code <= 0x206f) || code == 0x3000)
        {
            return 0;
        }

        codes[n] = code;
    }

    return EVS_EMAIL_ACE_LEN + evs_email_punycode(codes, n)
           <= EVS_EMAIL_LABEL_MAX;
}


/* The length of what the characters are encoded to: RFC 3492, 6.3. */

static size_t
evs_email_punycode(const uint32_t *codes, ngx_uint_t n)
{
    size_t      len;
    uint32_t    code, next;
    ngx_uint_t  i, basic, done, delta, bias, q, k, t;

    basic = 0;

    for (i = 0; i < n; i++) {
        basic += (codes[i] < 0x80);
    }

    len = basic + (basic != 0);
    bias = EVS_EMAIL_BIAS;
    code = EVS_EMAIL_FIRST;
    delta = 0;

    for (done = basic; done < n; code++, delta++) {
        next = (uint32_t) -1;

        for (i = 0; i < n; i++) {
            if (codes[i] >= code && codes[i] < next) {
                next = codes[i];
            }
        }

        delta += (ngx_uint_t) (next - code) * (done + 1);
        code = next;

        for (i = 0; i < n; i++) {

            if (codes[i] < code) {
                delta++;
            }

            if (codes[i] != code) {
                continue;
            }

            q = delta;

            for (k = EVS_EMAIL_BASE; /* void */ ; k += EVS_EMAIL_BASE) {
                len++;

                t = (k <= bias) ? EVS_EMAIL_T_MIN
                                : ngx_min(k - bias, EVS_EMAIL_T_MAX);
                if (q < t) {
                    break;
                }

                q = (q - t) / (EVS_EMAIL_BASE - t);
            }

            bias = evs_email_bias(delta, done + 1, done == basic);
            delta = 0;
            done++;
        }
    }

    return len;
}


static ngx_uint_t
evs_email_bias(ngx_uint_t delta, ngx_uint_t n, ngx_uint_t first)
{
    ngx_uint_t  k;

    delta = first ? delta / EVS_EMAIL_DAMP : delta / 2;
    delta += delta / n;

    for (k = 0;
         delta > (EVS_EMAIL_BASE - EVS_EMAIL_T_MIN) * EVS_EMAIL_T_MAX / 2;
         k += EVS_EMAIL_BASE)
    {
        delta /= EVS_EMAIL_BASE - EVS_EMAIL_T_MIN;
    }

    return k + (EVS_EMAIL_BASE - EVS_EMAIL_T_MIN + 1) * delta
               / (delta + EVS_EMAIL_SKEW);
}


static uint32_t
evs_email_code(const u_char **pos, const u_char *last)
{
    uint32_t       code;
    ngx_int_t      i, n;
    const u_char  *p;

    p = *pos;

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


static ngx_uint_t
evs_email_ip(const u_char *p, const u_char *last)
{
    char             text[EVS_EMAIL_IP_MAX + 1];
    size_t           len;
    struct in6_addr  addr;

    len = (size_t) (last - p);

    if (len > EVS_EMAIL_IP_MAX || memchr(p, '\0', len) != NULL) {
        return 0;
    }

    ngx_memcpy(text, p, len);
    text[len] = '\0';

    return inet_pton(AF_INET, text, &addr) == 1
           || inet_pton(AF_INET6, text, &addr) == 1;
}
