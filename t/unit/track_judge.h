
/*
 * The judge of bodies of trusted applications: from jansson's trees, as
 * scan_judge.h makes them, what must be replied to a body, to the byte.  It
 * goes by the words of Django REST framework and Python; the unit tests and
 * the fuzz target share it.
 */


#ifndef _TRACK_JUDGE_H_INCLUDED_
#define _TRACK_JUDGE_H_INCLUDED_


/* of which not everything is needed here */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include "scan_judge.h"
#pragma GCC diagnostic pop

#include "event/track.h"


typedef struct {
    const evs_limits_t  *limits;
    ngx_uint_t           kind;

    json_t              *faults;     /* of the object at hand */
    FILE                *out;        /* events, as far as they are good */
} track_judge_t;


/* what str.strip() takes off */

static const char  *track_white[] = {
    "\t", "\n", "\v", "\f", "\r", "\x1c", "\x1d", "\x1e", "\x1f", " ",
    "\xc2\x85", "\xc2\xa0", "\xe1\x9a\x80", "\xe2\x80\x80", "\xe2\x80\x81",
    "\xe2\x80\x82", "\xe2\x80\x83", "\xe2\x80\x84", "\xe2\x80\x85",
    "\xe2\x80\x86", "\xe2\x80\x87", "\xe2\x80\x88", "\xe2\x80\x89",
    "\xe2\x80\x8a", "\xe2\x80\xa8", "\xe2\x80\xa9", "\xe2\x80\xaf",
    "\xe2\x81\x9f", "\xe3\x80\x80"
};


static void
track_fault(track_judge_t *judge, const char *field, const char *sentence)
{
    json_t  *list;

    list = json_object_get(judge->faults, field);

    if (list == NULL) {
        list = json_array();
        json_object_set_new(judge->faults, field, list);
    }

    json_array_append_new(list, json_string(sentence));
}


static void
track_limit(track_judge_t *judge, const char *field, size_t max,
    const char *unit)
{
    char  sentence[128];

    (void) snprintf(sentence, sizeof(sentence),
                    "Ensure this field has no more than %zu %s.", max, unit);

    track_fault(judge, field, sentence);
}


static int
track_matches(const char *pattern, const char *p, size_t len)
{
    int      rc;
    char    *copy;
    regex_t  re;

    copy = strndup(p, len);

    if (regcomp(&re, pattern, REG_EXTENDED|REG_NOSUB|REG_ICASE) != 0) {
        abort();
    }

    rc = (strlen(copy) == len && regexec(&re, copy, 0, NULL, 0) == 0);

    regfree(&re);
    free(copy);

    return rc;
}


static void
track_session(track_judge_t *judge, json_t *value, json_t *written)
{
    size_t       len, i, n;
    const char  *p, *any;

    (void) written;

    p = "";
    len = 0;

    if (judge_is(value, 's')) {
        p = judge_text(value, &len);
    }

    any = p;
    n = len;

    if (len >= 9 && memcmp(p, "urn:uuid:", 9) == 0) {
        p += 9;
        len -= 9;
    }

    if (len >= 2 && p[0] == '{' && p[len - 1] == '}') {
        p++;
        len -= 2;
    }

    if (track_matches("^([0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}"
                      "-[0-9a-f]{12})$", p, len))
    {
        for (i = 0, n = 0; i < len; i++) {
            if (p[i] != '-') {
                fprintf(judge->out, "%s%c",
                        n == 8 || n == 12 || n == 16 || n == 20 ? "-" : "",
                        tolower(p[i]));
                n++;
            }
        }

        return;
    }

    if (judge->kind != EVS_SID_ANY) {
        track_fault(judge, "session_id", "Must be a valid UUID.");

    } else if (!track_matches("^[a-z0-9._~-]{1,128}$", any, n)) {
        track_fault(judge, "session_id", "Must be a valid session id: 1 to "
                    "128 letters, digits, dots, underscores, tildes or "
                    "dashes.");

    } else {
        (void) fwrite(any, 1, n, judge->out);
    }
}


static void
track_strip(const char **p, size_t *len)
{
    size_t  i, n;

    for (i = 0; i < sizeof(track_white) / sizeof(track_white[0]); /* void */)
    {
        n = strlen(track_white[i]);

        if (*len >= n && memcmp(*p, track_white[i], n) == 0) {
            *p += n;

        } else if (*len < n
                   || memcmp(*p + *len - n, track_white[i], n) != 0)
        {
            i++;
            continue;
        }

        *len -= n;
        i = 0;
    }
}


static void
track_string(track_judge_t *judge, json_t *value, const char *field,
    size_t max)
{
    u_char      *buf;
    size_t       len, chars, i;
    const char  *p;

    if (!json_is_string(value)) {
        track_fault(judge, field, "Not a valid string.");
        return;
    }

    p = judge_text(value, &len);
    track_strip(&p, &len);

    if (len == 0) {
        track_fault(judge, field, "This field may not be blank.");
        return;
    }

    for (i = 0, chars = 0; i < len; i++) {
        chars += ((u_char) p[i] < 0x80 || (u_char) p[i] >= 0xc0);
    }

    if (chars > max) {
        track_limit(judge, field, max, "characters");
    }

    if (memchr(p, '\0', len) != NULL) {
        track_fault(judge, field, "Null characters are not allowed.");
    }

    buf = malloc(6 * len);
    len = evs_json_escape(buf, (const u_char *) p, len);
    (void) fwrite(buf, 1, len, judge->out);
    free(buf);
}


static void
track_category(track_judge_t *judge, json_t *value, json_t *written)
{
    (void) written;

    track_string(judge, value, "category", judge->limits->category);
}


static void
track_name(track_judge_t *judge, json_t *value, json_t *written)
{
    (void) written;

    track_string(judge, value, "name",
                 judge->limits->name < 200 ? judge->limits->name : 200);
}


/* compact JSON of what the second tree holds */

static void
track_write(FILE *out, json_t *value)
{
    void        *i;
    size_t       len, n;
    const char  *p, *quote;

    switch (json_typeof(value)) {

    case JSON_STRING:
        p = judge_text(value, &len);
        quote = judge_is(value, 's') ? "\"" : "";

        fputs(quote, out);
        (void) fwrite(p, 1, len, out);
        fputs(quote, out);
        break;

    case JSON_ARRAY:
        fputc('[', out);

        for (n = 0; n < json_array_size(value); n++) {
            fputs(n > 0 ? "," : "", out);
            track_write(out, json_array_get(value, n));
        }

        fputc(']', out);
        break;

    case JSON_OBJECT:
        fputc('{', out);

        for (i = json_object_iter(value), n = 0; i != NULL;
             i = json_object_iter_next(value, i), n++)
        {
            fprintf(out, "%s\"%s\":", n > 0 ? "," : "",
                    json_object_iter_key(i) + 1);
            track_write(out, json_object_iter_value(i));
        }

        fputc('}', out);
        break;

    default:
        fputs(json_is_null(value) ? "null"
              : json_is_true(value) ? "true" : "false", out);
    }
}


static void
track_data(track_judge_t *judge, json_t *value, json_t *written)
{
    (void) value;

    if (judge_size(written) > judge->limits->data) {
        track_limit(judge, "data", judge->limits->data, "bytes");
    }

    track_write(judge->out, written);
}


static void
track_timestamp(track_judge_t *judge, json_t *value, json_t *written)
{
    int          good;
    size_t       len;
    time_t       t;
    int64_t      us, fraction;
    struct tm    tm;
    const char  *p;

    (void) written;

    good = 0;

    if (json_is_string(value)) {
        p = judge_text(value, &len);
        good = judge_is(value, 'n') ? judge_number_us(p, len, &us)
                                    : judge_string_us(p, len, &us);
    }

    if (!good) {
        track_fault(judge, "timestamp", "Datetime has wrong format. Use one "
                    "of these formats instead: YYYY-MM-DDThh:mm[:ss[.uuuuuu]]"
                    "[+HH:MM|-HH:MM|Z].");
        return;
    }

    fraction = ((us % 1000000) + 1000000) % 1000000;
    t = (time_t) ((us - fraction) / 1000000);
    (void) gmtime_r(&t, &tm);

    fprintf(judge->out, "%04d-%02d-%02dT%02d:%02d:%02d", tm.tm_year + 1900,
            tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);

    if (fraction != 0) {
        fprintf(judge->out, ".%06d", (int) fraction);
    }

    fputc('Z', judge->out);
}


static void
track_kind(track_judge_t *judge, json_t *value)
{
    char         sentence[128];
    const char  *kind;

    kind = json_is_array(value) ? "list"
           : json_is_boolean(value) ? "bool"
           : json_is_null(value) ? "NoneType"
           : judge_is(value, 's') ? "str"
           : strpbrk(json_string_value(value) + 1, ".eE") ? "float" : "int";

    (void) snprintf(sentence, sizeof(sentence), "Invalid data. Expected a "
                    "dictionary, but got %s.", kind);

    track_fault(judge, "non_field_errors", sentence);
}


static void
track_item(track_judge_t *judge, json_t *decoded, json_t *written)
{
    size_t          i;
    json_t         *value, *second;
    judge_entry_t   entry;

    static const struct {
        const char  *name;
        void       (*judge)(track_judge_t *, json_t *, json_t *);
        const char  *before;
        const char  *behind;
    } fields[] = {
        { "session_id", track_session, "{\"session_id\":\"", "\"," },
        { "category", track_category, "\"category\":\"", "\"," },
        { "name", track_name, "\"name\":\"", "\"," },
        { "data", track_data, "\"data\":", "," },
        { "timestamp", track_timestamp, "\"timestamp\":\"", "\"}" }
    };

    if (!json_is_object(decoded)) {
        track_kind(judge, decoded);
        return;
    }

    entry.decoded = decoded;
    entry.written = written;

    for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        fputs(fields[i].before, judge->out);

        second = NULL;
        value = judge_member(&entry, fields[i].name, &second);

        if (value == NULL) {
            track_fault(judge, fields[i].name, "This field is required.");

        } else if (json_is_null(value)) {
            track_fault(judge, fields[i].name,
                        "This field may not be null.");

        } else {
            fields[i].judge(judge, value, second);
        }

        fputs(fields[i].behind, judge->out);
    }
}


/* Returns what is to be replied to faults, and counts them. */

static json_t *
track_body(track_judge_t *judge, const judge_t *trees, size_t *nfaulty)
{
    size_t   i;
    json_t  *list;

    judge->faults = json_object();

    if (!json_is_array(trees->decoded)) {
        track_item(judge, trees->decoded, trees->written);
        *nfaulty = (json_object_size(judge->faults) != 0);

        return judge->faults;
    }

    *nfaulty = 0;
    list = json_array();
    fputc('[', judge->out);

    for (i = 0; i < json_array_size(trees->decoded); i++) {

        if (i == judge->limits->entries) {
            track_limit(judge, "non_field_errors", i, "elements");
            json_decref(list);
            (*nfaulty)++;

            return judge->faults;
        }

        fputs(i > 0 ? "," : "", judge->out);

        track_item(judge, json_array_get(trees->decoded, i),
                   json_array_get(trees->written, i));

        *nfaulty += (json_object_size(judge->faults) != 0);

        json_array_append_new(list, judge->faults);
        judge->faults = json_object();
    }

    fputc(']', judge->out);
    json_decref(judge->faults);

    return list;
}


static int
track_same(const ngx_str_t *found, const char *text, size_t len)
{
    if (found->len == len && memcmp(found->data, text, len) == 0) {
        return 1;
    }

    fprintf(stderr, "is        %.*s\nshould be %.*s\n", (int) found->len,
            (const char *) found->data, (int) len, text);

    return 0;
}


/* NULL, or what parser and judge don't agree on. */

static const char *
track_compare(track_judge_t *judge, const judge_t *trees, evs_track_t *track)
{
    char        *events, *dump;
    json_t      *faults;
    size_t       len, nfaulty;
    ngx_str_t    text;
    const char  *differs;

    differs = NULL;

    judge->out = open_memstream(&events, &len);
    faults = track_body(judge, trees, &nfaulty);
    (void) fclose(judge->out);

    dump = json_dumps(faults, JSON_COMPACT);

    if (track->fields.array != json_is_array(trees->decoded)) {
        differs = "whether it is an array";

    } else if (track->fields.nfaulty != nfaulty) {
        differs = "how many are faulty";

    } else if (evs_fields_faults_json(&track->fields, &text) != NGX_OK
               || !track_same(&text, dump, strlen(dump)))
    {
        differs = "faults";

    } else if (nfaulty == 0
               && (evs_track_events_json(track, &text) != NGX_OK
                   || !track_same(&text, events, len)))
    {
        differs = "events";
    }

    json_decref(faults);
    free(dump);
    free(events);

    return differs;
}


static const char *
track_outcome(evs_track_t *track, ngx_int_t rc, track_judge_t *judge,
    const judge_t *trees)
{
    size_t  i;

    if (rc != NGX_DECLINED) {

        if (trees->decoded == NULL || rc != NGX_OK) {
            return "it was taken for JSON";
        }

        return track_compare(judge, trees, track);
    }

    if (trees->decoded != NULL) {
        return "it was not taken for JSON";
    }

    for (i = 0; i < track->fields.syntax.len; i++) {
        if (track->fields.syntax.data[i] < 0x20
            || track->fields.syntax.data[i] > 0x7e)
        {
            return "text of the syntax fault";
        }
    }

    return (i < 20 || i >= EVS_FIELDS_SYNTAX_MAX - 1)
           ? "length of the syntax fault" : NULL;
}


/* As they came: a string without its escapes. */

static const char *
track_stamps(const evs_track_t *track, const judge_t *trees)
{
    json_t          *value;
    size_t           len, quotes;
    ngx_uint_t       i;
    const char      *p;
    judge_entry_t    entry;
    const ngx_str_t *text;

    for (i = 0; track->fields.nfaulty == 0 && i < track->nitems; i++) {
        entry.decoded = track->fields.array ? json_array_get(trees->decoded, i)
                                     : trees->decoded;
        entry.written = entry.decoded;

        value = judge_member(&entry, "timestamp", NULL);
        p = judge_text(value, &len);
        quotes = judge_is(value, 's');
        text = &track->items[i].entry.timestamp.text;

        if (text->len != len + 2 * quotes
            || memcmp(text->data + quotes, p, len) != 0
            || (quotes && (text->data[0] != '"'
                           || text->data[len + 1] != '"')))
        {
            return "text of a timestamp";
        }
    }

    return NULL;
}


static const char *
track_judge(const u_char *text, size_t len, const evs_limits_t *limits,
    ngx_uint_t kind, evs_json_names_t *names)
{
    u_char         *copy;
    judge_t         trees;
    ngx_int_t       rc;
    const char     *differs;
    evs_track_t     track;
    track_judge_t   judge;

    memset(&trees, 0, sizeof(judge_t));
    judge_load(&trees, text, len);

    judge.limits = limits;
    judge.kind = kind;

    /* exactly its size, for a sanitizer to see its end */

    copy = malloc(len ? len : 1);
    memcpy(copy, text, len);

    track.fields.pool = ngx_create_pool(0, NULL);
    rc = evs_track_parse(&track, copy, len, names, limits, kind);

    differs = track_outcome(&track, rc, &judge, &trees);

    if (differs == NULL) {
        differs = track_stamps(&track, &trees);
    }

    ngx_destroy_pool(track.fields.pool);
    free(copy);
    json_decref(trees.decoded);
    json_decref(trees.written);

    return differs;
}


#endif /* _TRACK_JUDGE_H_INCLUDED_ */
