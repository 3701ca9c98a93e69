
/*
 * jansson as the judge of the entry scanner: what is valid, what the outcome
 * of a message must be, and every value of every entry, found slowly and from
 * a tree.  The unit tests and the fuzz target share it.
 *
 * jansson is strict, loses how a number was written and refuses what doesn't
 * fit a double.  So it is given the text without the commas that are let pass;
 * and, to look at values, with every number made a string and every string
 * told from it by its first byte ("n1e999", "sEVENT").  A second such tree has
 * strings as they were written, with their escapes.
 */


#ifndef _SCAN_JUDGE_H_INCLUDED_
#define _SCAN_JUDGE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include <jansson.h>
#include <regex.h>

#include "event/scan.h"
#include "event/time.h"


#define JUDGE_FLAGS                                                          \
    (JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL)


typedef struct {
    ngx_int_t            kind;       /* 0: no fault */
    ngx_int_t            index;
    const char          *field;
} judge_fault_t;


typedef struct {
    json_t              *decoded;    /* of the entry, in both trees */
    json_t              *written;
} judge_entry_t;


typedef enum {
    JUDGE_MESSAGE = 0,
    JUDGE_BATCH,                     /* an array */
    JUDGE_LINES                      /* NDJSON */
} judge_form_e;


typedef struct {
    const evs_limits_t  *limits;
    const evs_sid_t     *sid;        /* of a message */
    ngx_uint_t           kind;
    judge_form_e         form;

    json_t              *decoded;    /* NULL: the message isn't JSON */
    json_t              *written;
    judge_fault_t        fault;
} judge_t;


/* the time of an entry of a batch that has none */
static const evs_timestamp_t  judge_now = { 42000007, ngx_string("42.000007") };


/* behind the string or the number that begins at i */

static size_t
judge_token(const char *text, size_t len, size_t i)
{
    if (text[i] == '"') {
        for (i++; i < len && text[i] != '"'; i++) {
            if (text[i] == '\\') {
                i++;
            }
        }

        return (i < len) ? i + 1 : len;
    }

    while (i < len && text[i] != '\0'
           && strchr("+-.0123456789eE", text[i]) != NULL)
    {
        i++;
    }

    return i;
}


/* blanks the commas that are let pass, returns how deep the text nests */

static size_t
judge_normalise(char *text, size_t len)
{
    char    before;
    size_t  i, comma, depth, deepest;

    depth = 0;
    deepest = 0;
    comma = 0;
    before = '\0';

    for (i = 0; i < len; i++) {

        switch (text[i]) {

        case ' ': case '\t': case '\r': case '\n':
            continue;

        case '"':
            i = judge_token(text, len, i) - 1;
            before = '"';
            continue;

        case '[': case '{':
            depth++;
            deepest = (depth > deepest) ? depth : deepest;
            break;

        case ']': case '}':
            if (before == ',') {
                text[comma] = ' ';
            }

            depth -= (depth > 0);
            break;

        case ',':

            /* none lets a comma pass that has no value in front */

            before = (before == '\0' || strchr("[{,:", before) != NULL)
                     ? ':' : ',';
            comma = i;
            continue;
        }

        before = (text[i] == '\0') ? '?' : text[i];
    }

    return deepest;
}


static int
judge_number(const char *p, size_t len)
{
    int          rc;
    char        *copy;
    regex_t      re;

    copy = strndup(p, len);

    if (regcomp(&re, "^-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][+-]?[0-9]+)?$",
                REG_EXTENDED|REG_NOSUB)
        != 0)
    {
        abort();
    }

    rc = (strlen(copy) == len && regexec(&re, copy, 0, NULL, 0) == 0);

    regfree(&re);
    free(copy);

    return rc;
}


/* a number that was made a string could pass for a name */

static int
judge_names(json_t *value)
{
    void    *i;
    size_t   n;

    for (n = 0; n < json_array_size(value); n++) {
        if (!judge_names(json_array_get(value, n))) {
            return 0;
        }
    }

    for (i = json_object_iter(value); i != NULL;
         i = json_object_iter_next(value, i))
    {
        if (json_object_iter_key(i)[0] != 's'
            || !judge_names(json_object_iter_value(i)))
        {
            return 0;
        }
    }

    return 1;
}


/*
 * The tree of values as tagged strings; with the escapes as they were written
 * or decoded.  NULL: not JSON, or a number isn't one.
 */

static json_t *
judge_tagged(const char *text, size_t len, int written)
{
    char    *tagged, *p;
    json_t  *root;
    size_t   i, end;

    p = malloc(4 * len + 1);
    tagged = p;

    for (i = 0; i < len; /* void */ ) {

        if (text[i] == '"') {
            end = judge_token(text, len, i++);
            *p++ = '"';
            *p++ = 's';

            for ( /* void */ ; i < end; i++) {
                if (written && (text[i] == '\\'
                                || (text[i] == '"' && i + 1 < end)))
                {
                    *p++ = '\\';
                }

                *p++ = text[i];
            }

            continue;
        }

        if (text[i] == '-' || (text[i] >= '0' && text[i] <= '9')) {
            end = judge_token(text, len, i);

            if (!judge_number(text + i, end - i)) {
                free(tagged);
                return NULL;
            }

            *p++ = '"';
            *p++ = 'n';

            while (i < end) {
                *p++ = text[i++];
            }

            *p++ = '"';
            continue;
        }

        *p++ = text[i++];
    }

    root = json_loadb(tagged, (size_t) (p - tagged), JUDGE_FLAGS, NULL);
    free(tagged);

    if (root != NULL && !judge_names(root)) {
        json_decref(root);
        return NULL;
    }

    return root;
}


static void
judge_load(judge_t *judge, const u_char *text, size_t len)
{
    char          *copy;
    json_t        *root;
    size_t         depth;
    json_error_t   error;

    /* jansson loses a NUL behind a number: its lexer can't give it back */

    if (len == 0 || memchr(text, '\0', len) != NULL) {
        return;
    }

    copy = malloc(len + 1);
    memcpy(copy, text, len);

    depth = judge_normalise(copy, len);

    root = json_loadb(copy, len, JUDGE_FLAGS, &error);

    if (depth <= EVS_JSON_MAX_DEPTH
        && (root != NULL
            || json_error_code(&error) == json_error_numeric_overflow))
    {
        judge->decoded = judge_tagged(copy, len, 0);
    }

    if (judge->decoded != NULL) {
        judge->written = judge_tagged(copy, len, 1);

        if (judge->written == NULL) {
            fprintf(stderr, "judge: no second tree\n");
            abort();
        }
    }

    if (root != NULL && depth <= EVS_JSON_MAX_DEPTH
        && judge->decoded == NULL)
    {
        fprintf(stderr, "judge: no first tree\n");
        abort();
    }

    json_decref(root);
    free(copy);
}


/* each line that isn't blank as a text of its own, as if in an array */

static void
judge_load_lines(judge_t *judge, const u_char *text, size_t len)
{
    json_t   *decoded, *written;
    size_t    i, end;
    judge_t   line;

    decoded = json_array();
    written = json_array();

    for (i = 0; i < len; i = end + 1) {

        for (end = i; end < len && text[end] != '\n'; end++) { /* void */ }

        while (i < end && memchr(" \t\r", text[i], 3) != NULL) {
            i++;
        }

        if (i == end) {
            continue;
        }

        memset(&line, 0, sizeof(judge_t));
        judge_load(&line, text + i, end - i);

        if (line.decoded == NULL) {
            json_decref(decoded);
            json_decref(written);
            return;
        }

        json_array_append_new(decoded, line.decoded);
        json_array_append_new(written, line.written);
    }

    judge->decoded = decoded;
    judge->written = written;
}


static int
judge_is(const json_t *value, char tag)
{
    return json_is_string(value) && json_string_value(value)[0] == tag;
}


/* of a tagged string, without its tag */

static const char *
judge_text(const json_t *value, size_t *len)
{
    *len = json_string_length(value) - 1;

    return json_string_value(value) + 1;
}


static json_t *
judge_member(const judge_entry_t *entry, const char *name, json_t **written)
{
    void  *a, *b;

    /* both trees have their members in the order of the text */

    a = json_object_iter(entry->decoded);
    b = json_object_iter(entry->written);

    while (a != NULL) {

        if (strcmp(json_object_iter_key(a) + 1, name) == 0) {

            if (written != NULL) {
                *written = json_object_iter_value(b);
            }

            return json_object_iter_value(a);
        }

        a = json_object_iter_next(entry->decoded, a);
        b = json_object_iter_next(entry->written, b);
    }

    return NULL;
}


static int
judge_number_us(const char *p, size_t len, int64_t *us)
{
    char                fraction[10];
    char               *digits;
    long                shift, e, n, i;
    size_t              k;
    unsigned __int128   whole;

    if (*p == '-') {
        return 0;
    }

    digits = malloc(len + 1);
    shift = 0;
    n = 0;
    e = 0;

    for (k = 0; k < len && p[k] != 'e' && p[k] != 'E'; k++) {

        if (p[k] == '.') {
            e = 1;
            continue;
        }

        shift -= e;

        if (n > 0 || p[k] != '0') {
            digits[n++] = p[k];
        }
    }

    if (k < len) {
        e = 0;

        for (i = (long) k + 1; i < (long) len; i++) {
            if (p[i] >= '0' && p[i] <= '9' && e < 100000000) {
                e = e * 10 + (p[i] - '0');
            }
        }

        shift += (p[k + 1] == '-') ? -e : e;
    }

    whole = 0;
    memset(fraction, '0', sizeof(fraction));

    if (n + shift > 30 && n > 0) {
        free(digits);
        return 0;
    }

    for (i = 0; n > 0 && i < n + shift; i++) {
        whole = whole * 10 + (i < n ? (unsigned) (digits[i] - '0') : 0);
    }

    for (i = 0; n > 0 && i < (long) sizeof(fraction); i++) {
        if (n + shift + i >= 0 && n + shift + i < n) {
            fraction[i] = digits[n + shift + i];
        }
    }

    free(digits);

    n = (whole < 100000000000) ? 6 : (whole < 100000000000000) ? 3 : 0;

    for (i = 0; i < n; i++) {
        whole = whole * 10 + (unsigned) (fraction[i] - '0');
    }

    if (n == 0 && whole >= 100000000000000000) {
        whole /= 1000;
    }

    if (whole > (unsigned __int128) EVS_TIME_MAX_US) {
        return 0;
    }

    *us = (int64_t) whole;

    return 1;
}


static long
judge_group(const char *p, const regmatch_t *m)
{
    long      n;
    regoff_t  i;

    n = 0;

    for (i = m->rm_so; i < m->rm_eo; i++) {
        n = n * 10 + (p[i] - '0');
    }

    return n;
}


static int
judge_string_us(const char *p, size_t len, int64_t *us)
{
    int               rc;
    long              offset, i;
    time_t            t;
    regex_t           re;
    struct tm         tm, back;
    regmatch_t        m[15];

    if (strlen(p) != len) {
        return 0;
    }

    rc = regcomp(&re, "^([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]"
                      "([0-9]{2}):([0-9]{2})(:([0-9]{2})([.,]([0-9]+))?)?"
                      "([Zz]|([+-])([0-9]{2})(:?([0-9]{2}))?)?$",
                 REG_EXTENDED);
    if (rc != 0) {
        abort();
    }

    rc = regexec(&re, p, 15, m, 0);
    regfree(&re);

    if (rc != 0) {
        return 0;
    }

    memset(&tm, 0, sizeof(struct tm));

    tm.tm_year = (int) judge_group(p, &m[1]) - 1900;
    tm.tm_mon = (int) judge_group(p, &m[2]) - 1;
    tm.tm_mday = (int) judge_group(p, &m[3]);
    tm.tm_hour = (int) judge_group(p, &m[4]);
    tm.tm_min = (int) judge_group(p, &m[5]);
    tm.tm_sec = (int) judge_group(p, &m[7]);

    rc = (tm.tm_sec == 60);
    tm.tm_sec -= rc;

    back = tm;
    t = timegm(&back);

    if (back.tm_year != tm.tm_year || back.tm_mon != tm.tm_mon
        || back.tm_mday != tm.tm_mday || back.tm_hour != tm.tm_hour
        || back.tm_min != tm.tm_min || back.tm_sec != tm.tm_sec)
    {
        return 0;
    }

    if (judge_group(p, &m[12]) > 23 || judge_group(p, &m[14]) > 59) {
        return 0;
    }

    offset = judge_group(p, &m[12]) * 60 + judge_group(p, &m[14]);

    if (m[11].rm_so != -1 && p[m[11].rm_so] == '-') {
        offset = -offset;
    }

    t -= offset * 60;

    (void) gmtime_r(&t, &back);

    if (rc && (back.tm_hour != 23 || back.tm_min != 59)) {
        return 0;
    }

    *us = ((int64_t) t + rc) * 1000000;

    for (i = 0, offset = 100000; i < 6 && m[9].rm_so != -1
                                 && m[9].rm_so + i < m[9].rm_eo; i++)
    {
        *us += (p[m[9].rm_so + i] - '0') * offset;
        offset /= 10;
    }

    return *us >= EVS_TIME_MIN_US && *us <= EVS_TIME_MAX_US;
}


static int
judge_us(const judge_t *judge, const judge_entry_t *entry, int64_t *us)
{
    json_t      *value;
    size_t       len;
    const char  *p;

    value = judge_member(entry, "timestamp", NULL);

    if (value == NULL && judge->form != JUDGE_MESSAGE) {
        *us = judge_now.us;
        return 1;
    }

    if (value == NULL || !json_is_string(value)) {
        return 0;
    }

    p = judge_text(value, &len);

    return judge_is(value, 'n') ? judge_number_us(p, len, us)
                                : judge_string_us(p, len, us);
}


static int
judge_type(const judge_t *judge, const judge_entry_t *entry)
{
    json_t       *value;
    size_t        len;
    const char   *p;

    if (judge->form != JUDGE_MESSAGE) {
        return EVS_ENTRY_EVENT;
    }

    value = judge_member(entry, "type", NULL);

    if (value == NULL || !judge_is(value, 's')) {
        return -1;
    }

    p = judge_text(value, &len);

    if (strlen(p) != len) {
        return -1;
    }

    return strcmp(p, "EVENT") == 0 ? EVS_ENTRY_EVENT
           : strcmp(p, "SESSION_START") == 0 ? EVS_ENTRY_START
           : strcmp(p, "SESSION_END") == 0 ? EVS_ENTRY_END
           : -1;
}


/* the canonical form of a session id; 0: it is none */

static size_t
judge_sid(const judge_t *judge, const json_t *value, char *buf)
{
    size_t       len, i, n;
    const char  *p;

    p = judge_text(value, &len);

    if (len == 0 || len > EVS_SID_MAX || strlen(p) != len) {
        return 0;
    }

    for (i = 0, n = 0; i < len; i++) {
        if (isxdigit((u_char) p[i])) {
            buf[n++] = (char) tolower(p[i]);

        } else if (p[i] != '-' || len != 36
                   || (i != 8 && i != 13 && i != 18 && i != 23))
        {
            break;
        }
    }

    if (i == len && n == 32 && (len == 32 || len == 36)) {
        memmove(buf + 24, buf + 20, 12);
        memmove(buf + 19, buf + 16, 4);
        memmove(buf + 14, buf + 12, 4);
        memmove(buf + 9, buf + 8, 4);
        buf[8] = buf[13] = buf[18] = buf[23] = '-';

        return 36;
    }

    if (judge->kind != EVS_SID_ANY) {
        return 0;
    }

    for (i = 0; i < len; i++) {
        if (!isalnum((u_char) p[i]) && strchr("._~-", p[i]) == NULL) {
            return 0;
        }
    }

    memcpy(buf, p, len);

    return len;
}


/* bytes of a value as compact JSON */

static size_t
judge_size(json_t *value)
{
    void    *i;
    size_t   len, n;

    if (json_is_string(value)) {
        (void) judge_text(value, &len);
        return len + (judge_is(value, 's') ? 2 : 0);
    }

    len = 2;

    if (json_is_array(value)) {
        for (n = 0; n < json_array_size(value); n++) {
            len += judge_size(json_array_get(value, n)) + (n > 0);
        }

        return len;
    }

    if (json_is_object(value)) {
        for (i = json_object_iter(value), n = 0; i != NULL;
             i = json_object_iter_next(value, i), n++)
        {
            len += strlen(json_object_iter_key(i)) - 1 + 3 + (n > 0);
            len += judge_size(json_object_iter_value(i));
        }

        return len;
    }

    return json_is_false(value) ? 5 : 4;
}


static int
judge_string_member(json_t *value, size_t bytes, size_t chars)
{
    size_t       len, i, n;
    const char  *p;

    if (!judge_is(value, 's')) {
        return 0;
    }

    p = judge_text(value, &len);

    for (i = 0, n = 0; i < len; i++) {
        n += ((u_char) p[i] < 0x80 || (u_char) p[i] >= 0xc0);
    }

    return strlen(p) == len && len <= bytes && n <= chars;
}


/* whether a session_id may be what it is; session: it is another one's */

static int
judge_session(const judge_t *judge, const json_t *value, int *session)
{
    char    buf[EVS_SID_MAX];
    size_t  len;

    if (value == NULL) {
        return 1;
    }

    if (!judge_is(value, 's')) {
        return 0;
    }

    len = judge_sid(judge, value, buf);

    if (judge->form != JUDGE_MESSAGE) {
        return len != 0;
    }

    *session = (len != judge->sid->len
                || memcmp(buf, judge->sid->data, len) != 0);

    return !*session;
}


static int
judge_id(json_t *value)
{
    size_t       len;
    const char  *p;

    if (!judge_string_member(value, EVS_ID_MAX, (size_t) -1)) {
        return 0;
    }

    p = judge_text(value, &len);

    for (/* void */; *p > 0x20 && *p < 0x7f; p++) { /* void */ }

    return *p == '\0' && len != 0;
}


/* the field an entry is at fault with, NULL if it has none */

static const char *
judge_field(const judge_t *judge, const judge_entry_t *entry, int *session)
{
    int       type, batch;
    json_t   *value, *written;
    int64_t   us;

    batch = (judge->form != JUDGE_MESSAGE);

    type = judge_type(judge, entry);
    if (type == -1) {
        return "type";
    }

    if (!judge_us(judge, entry, &us)) {
        return "timestamp";
    }

    value = judge_member(entry, "session_id", NULL);

    if (!judge_session(judge, value, session)) {
        return "session_id";
    }

    if (type != EVS_ENTRY_EVENT) {
        return NULL;
    }

    value = judge_member(entry, "name", NULL);

    if (value == NULL
        ? !batch
        : !judge_string_member(value, judge->limits->name, (size_t) -1))
    {
        return "name";
    }

    value = batch ? NULL : judge_member(entry, "id", NULL);

    if (value != NULL && !judge_id(value)) {
        return "id";
    }

    value = judge_member(entry, "category", NULL);

    if (value != NULL
        && !judge_string_member(value, (size_t) -1, judge->limits->category))
    {
        return "category";
    }

    value = judge_member(entry, "data", &written);

    if (value != NULL && judge_size(written) > judge->limits->data) {
        return "data";
    }

    return NULL;
}


static void
judge_outcome(judge_t *judge)
{
    int             session;
    size_t          i, n;
    const char     *field;
    judge_fault_t  *fault;
    judge_entry_t   entry;

    fault = &judge->fault;
    fault->kind = EVS_FAULT_SYNTAX;
    fault->index = -1;
    fault->field = NULL;

    if (judge->decoded == NULL || !json_is_array(judge->decoded)) {
        return;
    }

    n = json_array_size(judge->decoded);

    for (i = 0; i < n; i++) {
        entry.decoded = json_array_get(judge->decoded, i);
        entry.written = json_array_get(judge->written, i);

        fault->index = (ngx_int_t) i;
        fault->kind = EVS_FAULT_ENTRY;

        if (i == judge->limits->entries || !json_is_object(entry.decoded)) {
            return;
        }

        session = 0;
        field = judge_field(judge, &entry, &session);

        if (field != NULL) {
            fault->field = field;
            fault->kind = session ? EVS_FAULT_SESSION : EVS_FAULT_ENTRY;
            return;
        }
    }

    fault->kind = 0;
}


/* a canonical string: it is what the decoded one is escaped to */

static int
judge_canonical(const ngx_str_t *text, const json_t *value)
{
    int          rc;
    size_t       len, size;
    u_char      *buf;
    const char  *p;

    if (value == NULL) {
        return text->data == NULL && text->len == 0;
    }

    p = judge_text(value, &len);
    size = evs_json_escape(NULL, (const u_char *) p, len);

    buf = malloc(size + 1);
    (void) evs_json_escape(buf, (const u_char *) p, len);

    rc = (text->data != NULL && text->len == size
          && memcmp(text->data, buf, size) == 0);

    free(buf);

    return rc;
}


/* the text of a timestamp: as it was written, but for escapes */

static int
judge_stamp(const ngx_str_t *text, const json_t *value)
{
    size_t       len;
    const char  *p;

    if (value == NULL) {
        return text->data == judge_now.text.data
               && text->len == judge_now.text.len;
    }

    p = judge_text(value, &len);

    if (judge_is(value, 's')) {
        return text->len == len + 2 && text->data[0] == '"'
               && text->data[len + 1] == '"'
               && memcmp(text->data + 1, p, len) == 0;
    }

    return text->len == len && memcmp(text->data, p, len) == 0;
}


/* what lies in the scanner of the session that an entry of a batch names */

static int
judge_named(const judge_t *judge, const evs_scan_t *scan,
    const evs_entry_t *entry, const json_t *value)
{
    char    buf[EVS_SID_MAX];
    size_t  len;

    if (value == NULL || judge->form == JUDGE_MESSAGE) {
        return entry->session.data == NULL && entry->session.len == 0
               && (value != NULL || scan->session.len == 0);
    }

    len = judge_sid(judge, value, buf);

    return entry->session.data == scan->session.data
           && entry->session.len == len && scan->session.len == len
           && memcmp(scan->session.data, buf, len) == 0;
}


static const char *
judge_entry(const judge_t *judge, const evs_scan_t *scan,
    const evs_entry_t *entry, size_t i)
{
    int             event;
    json_t         *value, *written;
    size_t          len;
    int64_t         us;
    const char     *p;
    judge_entry_t   e;

    e.decoded = json_array_get(judge->decoded, i);
    e.written = json_array_get(judge->written, i);

    if ((int) entry->type != judge_type(judge, &e)) {
        return "type";
    }

    if (!judge_us(judge, &e, &us) || us != entry->timestamp.us) {
        return "timestamp";
    }

    value = judge_member(&e, "timestamp", NULL);
    if (!judge_stamp(&entry->timestamp.text, value)) {
        return "text of timestamp";
    }

    value = judge_member(&e, "session_id", NULL);
    if (!judge_named(judge, scan, entry, value)) {
        return "session";
    }

    event = (entry->type == EVS_ENTRY_EVENT);

    value = event ? judge_member(&e, "name", NULL) : NULL;
    if (!judge_canonical(&entry->name, value)) {
        return "name";
    }

    value = event ? judge_member(&e, "category", NULL) : NULL;
    if (!judge_canonical(&entry->category, value)) {
        return "category";
    }

    /* no character of an id could be escaped but these two */

    value = (event && judge->form == JUDGE_MESSAGE)
            ? judge_member(&e, "id", NULL) : NULL;

    if (value == NULL) {
        if (entry->id.data != NULL || entry->id.len != 0) {
            return "id";
        }

    } else {
        p = judge_text(value, &len);

        if (len != entry->id.len || memcmp(p, entry->id.data, len) != 0) {
            return "id";
        }
    }

    value = event ? judge_member(&e, "data", &written) : NULL;

    if (value == NULL) {
        return (entry->data.data != NULL || entry->data.len != 0) ? "data"
                                                                  : NULL;
    }

    /* without a normalisation: it must be strict by now */

    value = judge_tagged((char *) entry->data.data, entry->data.len, 1);
    event = (value != NULL && json_equal(value, written)
             && entry->data.len == judge_size(written));
    json_decref(value);

    return event ? NULL : "data";
}


static const char *
judge_fault(const judge_t *judge, const evs_scan_t *scan)
{
    size_t                i;
    const evs_fault_t    *fault;
    const judge_fault_t  *right;

    fault = &scan->fault;
    right = &judge->fault;

    if ((ngx_int_t) fault->kind != right->kind) {
        return "kind of fault";
    }

    if (fault->index != right->index) {
        return "index of fault";
    }

    if ((fault->field == NULL) != (right->field == NULL)
        || (fault->field != NULL && strcmp(fault->field, right->field) != 0))
    {
        return "field of fault";
    }

    if (fault->len == 0 || fault->len >= EVS_FAULT_TEXT_MAX) {
        return "length of fault text";
    }

    for (i = 0; i < fault->len; i++) {
        if (fault->text[i] < 0x20 || fault->text[i] > 0x7e) {
            return "fault text";
        }
    }

    return NULL;
}


/* NULL, or what scanner and judge don't agree on. */

static const char *
judge_run(judge_t *judge, evs_scan_t *scan)
{
    size_t        n;
    ngx_int_t     rc;
    evs_entry_t   entry;
    const char   *differs;

    for (n = 0; (rc = evs_scan_next(scan, &entry)) == NGX_OK; n++) {

        /* of what isn't JSON the entries have no meaning */

        if (!json_is_array(judge->decoded)) {
            continue;
        }

        if (judge->fault.kind != 0 && (ngx_int_t) n >= judge->fault.index) {
            return "an entry with a fault was returned";
        }

        differs = judge_entry(judge, scan, &entry, n);
        if (differs != NULL) {
            return differs;
        }
    }

    if (evs_scan_next(scan, &entry) != rc) {
        return "the outcome changes when asked for again";
    }

    if (rc == NGX_ERROR) {
        return judge_fault(judge, scan);
    }

    if (rc != NGX_DONE || judge->fault.kind != 0) {
        return "it was taken";
    }

    if (scan->count != n || n != json_array_size(judge->decoded)) {
        return "count";
    }

    return NULL;
}


static const char *
judge_read(judge_t *judge, const u_char *text, size_t len,
    evs_json_names_t *names)
{
    u_char      *copy;
    evs_scan_t   scan;
    const char  *differs;

    if (judge->form == JUDGE_LINES) {
        judge_load_lines(judge, text, len);

    } else {
        judge_load(judge, text, len);
    }

    judge_outcome(judge);

    /* exactly its size, for a sanitizer to see its end */

    copy = malloc(len ? len : 1);
    memcpy(copy, text, len);

    if (judge->form == JUDGE_MESSAGE) {
        evs_scan_init(&scan, copy, len, judge->sid, judge->kind,
                      judge->limits, names);

    } else {
        evs_scan_init_batch(&scan, copy, len, judge->kind, judge->limits,
                            names, &judge_now, judge->form == JUDGE_LINES);
    }

    differs = judge_run(judge, &scan);

    free(copy);
    json_decref(judge->decoded);
    json_decref(judge->written);

    return differs;
}


static ngx_inline const char *
judge_message(const u_char *text, size_t len, const evs_limits_t *limits,
    const evs_sid_t *sid, ngx_uint_t kind, evs_json_names_t *names)
{
    judge_t  judge;

    memset(&judge, 0, sizeof(judge_t));

    judge.limits = limits;
    judge.sid = sid;
    judge.kind = kind;

    return judge_read(&judge, text, len, names);
}


static ngx_inline const char *
judge_batch(const u_char *text, size_t len, const evs_limits_t *limits,
    ngx_uint_t kind, judge_form_e form, evs_json_names_t *names)
{
    judge_t  judge;

    memset(&judge, 0, sizeof(judge_t));

    judge.limits = limits;
    judge.kind = kind;
    judge.form = form;

    return judge_read(&judge, text, len, names);
}


/* The same for evs_json_escape() and what undoes it. */

static ngx_inline const char *
judge_escape(const u_char *text, size_t len)
{
    u_char      *buf;
    json_t      *value, *plain;
    size_t       size, n;
    const char  *differs;

    differs = NULL;
    size = evs_json_escape(NULL, text, len);

    buf = malloc(size + 2);
    n = evs_json_escape(buf + 1, text, len);

    buf[0] = '"';
    buf[size + 1] = '"';

    value = json_loadb((char *) buf, size + 2, JUDGE_FLAGS, NULL);
    plain = json_stringn((const char *) text, len);

    if (n != size) {
        differs = "size of escaped text";

    } else if (value == NULL || (plain && !json_equal(value, plain))) {
        differs = "escaped text";

    } else if (evs_json_canonical(buf + 1, buf + 1 + size) != buf + 1 + size) {
        differs = "escaped text is not canonical";

    } else {
        n = (size_t) (evs_json_unescape(buf + 1, buf + 1 + size) - buf - 1);

        if (n != json_string_length(value)
            || memcmp(buf + 1, json_string_value(value), n) != 0)
        {
            differs = "text unescaped again";
        }
    }

    json_decref(value);
    json_decref(plain);
    free(buf);

    return differs;
}


#endif /* _SCAN_JUDGE_H_INCLUDED_ */
