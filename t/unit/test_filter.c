
/*
 * The filter language: what is a filter and what it becomes, what is wrong
 * with what is none and where, what matches, and what it costs.  In the end a
 * judge looks at random filters and random records.
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "filter_judge.h"

#include "event/decimal.h"
#include "event/fold.h"
#include "event/json.h"


#define FIELDS                                                               \
    "expected '(' or a field: id, email, environment, component, message, "  \
    "createdAt or data.<path>"

#define OPERATOR   "expected an operator: eq, ne, ct, gt, gte, lt or lte"
#define PATH_OR    "expected '.' or an operator: eq, ne, ct, gt, gte, lt or lte"
#define VALUE      "expected a value in quotes"
#define CLOSE      "expected ')', since a comparison has brackets of its own"
#define JOINED     "expected AND, OR or ')'"
#define JOINED_END "expected AND, OR or the end"
#define DATE                                                                 \
    "expected a date like 2018-01-31, or a date-time like "                  \
    "2018-01-31T09:15:27Z"
#define SEGMENT                                                              \
    "expected a name or an index in a path, in quotes where it has a "       \
    "blank, a dot, a bracket or a quote"


extern ngx_int_t  ngx_shim_allocs;


typedef struct {
    const char  *text;
    const char  *tree;
} tree_case_t;


/* [...] is a value, <...> a segment of a path, @ a time in µs */

static const tree_case_t  tree_cases[] = {

    /* all */
    { "", "all" },
    { " \t\r\n", "all" },
    { "()", "all" },
    { " ( ) ", "all" },

    /* fields and operators */
    { "(id eq 'a')", "id eq [a]" },
    { "(email ne 'a')", "email ne [a]" },
    { "(environment ct 'a')", "environment ct [a]" },
    { "(component gt 'a')", "component gt [a]" },
    { "(message gte 'a')", "message gte [a]" },
    { "(message lt 'a')", "message lt [a]" },
    { "(message lte 'a')", "message lte [a]" },
    { "(data.a eq 'a')", "data.<a> eq [a]" },

    /* the seed's example */
    { "((email eq 'diego@chefhero.com') AND (createdAt gte '2018-1-1') AND "
      "(message ct 'buyer' ))",
      "(email eq [diego@chefhero.com] AND createdAt gte "
      "@1514764800000000 AND message ct [buyer])" },
    { "(email eq 'diego@chefhero.com') OR (createdAt gte '2018-1-1')",
      "(email eq [diego@chefhero.com] OR createdAt gte "
      "@1514764800000000)" },

    /* precedence and brackets */
    { "(id eq 'a')AND(id eq 'b')OR(id eq 'c')AND(id eq 'd')",
      "((id eq [a] AND id eq [b]) OR (id eq [c] AND id eq [d]))" },
    { "(id eq 'a')OR(id eq 'b')AND(id eq 'c')OR(id eq 'd')",
      "(id eq [a] OR (id eq [b] AND id eq [c]) OR id eq [d])" },
    { "((id eq 'a')OR(id eq 'b'))AND(id eq 'c')",
      "((id eq [a] OR id eq [b]) AND id eq [c])" },
    { "(id eq 'c')AND((id eq 'a')OR(id eq 'b'))",
      "(id eq [c] AND (id eq [a] OR id eq [b]))" },

    /* those that change nothing leave no trace */
    { "(((id eq 'a')))", "id eq [a]" },
    { "((id eq 'a')AND(id eq 'b'))AND(id eq 'c')",
      "(id eq [a] AND id eq [b] AND id eq [c])" },
    { "(id eq 'a')OR((id eq 'b')OR(((id eq 'c'))OR(id eq 'd')))",
      "(id eq [a] OR id eq [b] OR id eq [c] OR id eq [d])" },

    /* blanks */
    { "\n(\tid\r eq \n'a' ) AND\t( id\neq\t\"b\"\r)\n ",
      "(id eq [a] AND id eq [b])" },
    { "(id eq'a')OR(id eq\"b\")", "(id eq [a] OR id eq [b])" },

    /* quotes; brackets, keywords and blanks in values */
    { "(id eq '')", "id eq []" },
    { "(id eq \"it's\")", "id eq [it's]" },
    { "(id eq 'a \"b\"')", "id eq [a \"b\"]" },
    { "(id eq 'it\\'s')", "id eq [it's]" },
    { "(id eq \"\\\"\\'\\\\\")", "id eq [\"'\\]" },
    { "(id eq '\\\\')", "id eq [\\]" },
    { "(id eq '\\n\\a\\ä\\ ')", "id eq [naä ]" },
    { "(id eq ')')", "id eq [)]" },
    { "(id eq '((a')OR(id eq '(id eq \"b\") AND ')",
      "(id eq [((a] OR id eq [(id eq \"b\") AND ])" },
    { "(id eq ' AND ')AND(id eq 'OR')", "(id eq [ AND ] AND id eq [OR])" },
    { "(id eq 'a\n\tb')", "id eq [a\n\tb]" },
    { "(id eq 'ÄÖ日𝄞')", "id eq [ÄÖ日𝄞]" },

    /* paths */
    { "(data.a.b.0 eq 'a')", "data.<a>.<b>.<0> eq [a]" },
    { "(data.eq eq 'a')", "data.<eq> eq [a]" },
    { "(data.AND.data ct 'a')", "data.<AND>.<data> ct [a]" },
    { "(data.größe eq 'a')", "data.<größe> eq [a]" },
    { "(data.a-b_$\\+ eq 'a')", "data.<a-b_$\\+> eq [a]" },
    { "(data.\"\" eq 'a')", "data.<> eq [a]" },
    { "(data.\"a.b\" eq 'a')", "data.<a.b> eq [a]" },
    { "(data.'a b'.\"c')\"eq'a')", "data.<a b>.<c')> eq [a]" },
    { "(data.'it\\'s'.x eq 'a')", "data.<it's>.<x> eq [a]" },
    { "(data . a\t. b eq 'a')", "data.<a>.<b> eq [a]" },

    /* dates */
    { "(createdAt eq '2018-1-1')", "createdAt eq @1514764800000000" },
    { "(createdAt eq '2018-01-01')", "createdAt eq @1514764800000000" },
    { "(createdAt eq '2018-01-1')", "createdAt eq @1514764800000000" },
    { "(createdAt ne '2018-1-31')", "createdAt ne @1517356800000000" },
    { "(createdAt lt '2016-2-29')", "createdAt lt @1456704000000000" },
    { "(createdAt lt '1969-12-31')", "createdAt lt @-86400000000" },
    { "(createdAt gt '9999-12-31')", "createdAt gt @253402214400000000" },
    { "(createdAt gt '0000-1-1')", "createdAt gt @-62167219200000000" },
    { "(createdAt lte '2018-01-01T00:00')",
      "createdAt lte @1514764800000000" },
    { "(createdAt lte '2018-01-01T09:15:27Z')",
      "createdAt lte @1514798127000000" },
    { "(createdAt lte '2018-01-01 09:15:27.243860')",
      "createdAt lte @1514798127243860" },
    { "(createdAt lte '2018-01-01t09:15:27.2438609z')",
      "createdAt lte @1514798127243860" },
    { "(createdAt lte '2018-01-01T09:15:27+02:00')",
      "createdAt lte @1514790927000000" },
    { "(createdAt lte '2018-01-01T09:15:27-0330')",
      "createdAt lte @1514810727000000" },
    { "(createdAt lte '2016-12-31T23:59:60Z')",
      "createdAt lte @1483228800000000" },

    /* ct looks into the text, so it need not be a date */
    { "(createdAt ct '2018-')", "createdAt ct [2018-]" }
};


typedef struct {
    const char  *text;
    ngx_uint_t   column;
    const char  *expected;
} fault_case_t;


static const fault_case_t  fault_cases[] = {
    { "email eq 'a'", 1, "expected '('" },
    { ")", 1, "expected '('" },
    { "'a'", 1, "expected '('" },
    { "AND", 1, "expected '('" },
    { "(", 2, FIELDS },
    { "( ", 3, FIELDS },
    { "(())", 3, FIELDS },
    { "() ()", 4, "expected the end" },
    { "()AND(id eq 'a')", 3, "expected the end" },
    { "() 'a", 4, "expected the end" },
    { "(id eq 'a')AND()", 16, FIELDS },
    { "(foo eq 'a')", 2, FIELDS },
    { "(Email eq 'a')", 2, FIELDS },
    { "(created_at eq 'a')", 2, FIELDS },
    { "(emaileq 'a')", 2, FIELDS },
    { "(email='a')", 2, FIELDS },
    { "('email' eq 'a')", 2, FIELDS },
    { "(.a eq 'a')", 2, FIELDS },
    { "(AND eq 'a')", 2, FIELDS },

    { "(email", 7, OPERATOR },
    { "(email )", 8, OPERATOR },
    { "(email EQ 'a')", 8, OPERATOR },
    { "(email = 'a')", 8, OPERATOR },
    { "(email like 'a')", 8, OPERATOR },
    { "(email gtex 'a')", 8, OPERATOR },
    { "(email 'a')", 8, OPERATOR },
    { "(email.a eq 'a')", 7, OPERATOR },
    { "(email'eq' 'a')", 7, OPERATOR },
    { "(data.a EQ 'a')", 9, PATH_OR },
    { "(data.aeq'a')", 10, PATH_OR },
    { "(data.a.eq 'a')", 12, PATH_OR },
    { "(data.\"a\"\"b\" eq 'a')", 10, PATH_OR },

    { "(data eq 'a')", 7, "expected '.' and a path behind data" },
    { "(data", 6, "expected '.' and a path behind data" },
    { "(data. ", 8, SEGMENT },
    { "(data..a eq 'a')", 7, SEGMENT },
    { "(data.(a) eq 'a')", 7, SEGMENT },
    { "(data.a.)", 9, SEGMENT },

    { "(email eq", 10, VALUE },
    { "(email eq a)", 11, VALUE },
    { "(email eq 5)", 11, VALUE },
    { "(email eq)", 10, VALUE },
    { "(email eq (a))", 11, VALUE },
    { "(email eq eq 'a')", 11, VALUE },
    { "(email eq 'a", 13, "expected ' to end the text that begins in column "
      "11" },
    { "(email eq \"a'\\\")", 17, "expected \" to end the text that begins in "
      "column 11" },
    { "(email eq 'a\\", 14, "expected ' to end the text that begins in column "
      "11" },
    { "(data.\"a", 9, "expected \" to end the text that begins in column 7" },
    { "(email \"", 9, "expected \" to end the text that begins in column 8" },
    { "\"", 2, "expected \" to end the text that begins in column 1" },
    { "(id eq 'a') '", 14, "expected ' to end the text that begins in column "
      "13" },

    { "(email eq 'a'", 14, CLOSE },
    { "(email eq 'a' 'b')", 15, CLOSE },
    { "(email eq 'it''s')", 15, CLOSE },
    { "(email eq 'a' AND email eq 'b')", 15, CLOSE },
    { "((email eq 'a')", 16, JOINED },
    { "((email eq 'a') and (email eq 'b'))", 17, JOINED },
    { "((email eq 'a')(email eq 'b'))", 16, JOINED },
    { "((email eq 'a') AND)", 20, "expected '('" },
    { "((email eq 'a') AND email eq 'b')", 21, "expected '('" },
    { "(email eq 'a'))", 15, JOINED_END },
    { "(email eq 'a') XOR (email eq 'b')", 16, JOINED_END },
    { "(email eq 'a') ANDOR (email eq 'b')", 16, JOINED_END },
    { "(email eq 'a')\n\tx", 17, JOINED_END },
    { "(email eq 'a') AND", 19, "expected '('" },
    { "(email eq 'a') AND AND (email eq 'b')", 20, "expected '('" },
    { "(email eq 'a') OR", 18, "expected '('" },
    { "OR (email eq 'a')", 1, "expected '('" },

    /* columns are of characters */
    { "(email eq 'ÄÖ日𝄞') x", 19, JOINED_END },
    { "(data.größe ä)", 13, PATH_OR },
    { "ä", 1, "expected '('" },

    { "(createdAt eq '')", 15, DATE },
    { "(createdAt eq 'yesterday')", 15, DATE },
    { "(createdAt eq '2018-2-29')", 15, DATE },
    { "(createdAt eq '2018-13-1')", 15, DATE },
    { "(createdAt eq '2018-0-1')", 15, DATE },
    { "(createdAt eq '2018-1-0')", 15, DATE },
    { "(createdAt eq '2018-1-32')", 15, DATE },
    { "(createdAt eq '2018-1')", 15, DATE },
    { "(createdAt eq '2018-1-')", 15, DATE },
    { "(createdAt eq '2018--1')", 15, DATE },
    { "(createdAt eq '2018')", 15, DATE },
    { "(createdAt eq '18-1-1')", 15, DATE },
    { "(createdAt eq '02018-1-1')", 15, DATE },
    { "(createdAt eq '2018-001-1')", 15, DATE },
    { "(createdAt eq '2018-1-011')", 15, DATE },
    { "(createdAt eq '2018/1/1')", 15, DATE },
    { "(createdAt eq '2018-1-1 ')", 15, DATE },
    { "(createdAt eq ' 2018-1-1')", 15, DATE },
    { "(createdAt eq '+201-1-1')", 15, DATE },
    { "(createdAt eq '2018-1-1T10:00')", 15, DATE },
    { "(createdAt eq '2018-01-01T24:00')", 15, DATE },
    { "(createdAt eq '2018-01-01T10')", 15, DATE },
    { "(createdAt eq '1514764800')", 15, DATE },
    { "(createdAt eq '0000-01-01T00:00+01:00')", 15, DATE },

    /* what isn't a character */
    { "(email eq '\xff')", 12, "expected UTF-8" },
    { "(email eq 'Ä\xc3')", 13, "expected UTF-8" },
    { "\xed\xa0\x80", 1, "expected UTF-8" },
    { "(email eq '\xc0\x80')", 12, "expected UTF-8" },
    { "(email eq 'a') \xf0\x9f", 16, "expected UTF-8" }
};


/* what the cases below are about */

static u_char  test_id[] = "01234567-89ab-4cde-8f01-23456789abcd";

#define TEST_US  1517390127243860LL   /* 2018-01-31T09:15:27.243860Z */

static const char  *test_email = "diego@chefhero.com";
static const char  *test_environment = "production";
static const char  *test_component = "";
static const char  *test_message =
    "the Buyer #1 \"said\" \\ (a) AND (b)\n\001\tÄÖ ß Straße ΟΔΥΣΣΕΥΣ "
    "οδυσσευς İstanbul ISTANBUL \xe2\x84\xaa" "elvin \xc5\xbf" "et Ⱥ 𐐀 日本 "
    "Привет ẞ";

static const char  *test_data =
    "{\"key\":123,\"another key\":\"Some value\",\"n\":{\"a\":[10,20.50,"
    "{\"x\":\"y\"},[]],\"0\":\"zero\"},\"big\":9007199254740993,"
    "\"f\":1.50,\"e\":1.5E3,\"m\":-0,\"neg\":-12.5,\"t\":true,\"no\":false,"
    "\"z\":null,\"esc\":\"\\u0061\\/\\\"Q\\\\\\n\\ud834\\udd1e\","
    "\"\\u006bk\":\"v\",\"\":\"empty\",\"q\\\"\":\"quote\","
    "\"obj\":{\"b\":1,\"A\":[\"\\u0041\"]},\"arr\":[],\"none\":{},"
    "\"s\":\"10\",\"es\":\"\",\"] } ,\":\"[{\",\"tiny\":1e-400,"
    "\"huge\":123456789012345678901234567890.000,\"ÄÖ\":{\"日\":\"Größe\"}}";


typedef struct {
    const char  *text;
    ngx_int_t    matches;
} match_case_t;


static const match_case_t  match_cases[] = {

    { "", 1 },
    { "()", 1 },

    /* exactly, and by code points */
    { "(email eq 'diego@chefhero.com')", 1 },
    { "(email eq 'Diego@chefhero.com')", 0 },
    { "(email eq 'diego@chefhero.co')", 0 },
    { "(email eq 'diego@chefhero.com ')", 0 },
    { "(email eq '')", 0 },
    { "(email ne 'diego@chefhero.com')", 0 },
    { "(email ne 'x')", 1 },
    { "(component eq '')", 1 },
    { "(component ne '')", 0 },
    { "(component lt 'a')", 1 },
    { "(component gte '')", 1 },
    { "(component gt '')", 0 },
    { "(environment gt 'produc')", 1 },
    { "(environment gt 'production')", 0 },
    { "(environment gte 'production')", 1 },
    { "(environment lt 'productions')", 1 },
    { "(environment lt 'production')", 0 },
    { "(environment lte 'production')", 1 },
    { "(environment gt 'Z')", 1 },
    { "(environment lt 'ä')", 1 },
    { "(environment lt '\xef\xbf\xbf')", 1 },
    { "(environment lt '\xf0\x90\x80\x80')", 1 },
    { "(message gt 'the Buyer #1 \"')", 1 },
    { "(message gt 'the Buyer #1 #')", 0 },
    { "(message lt 'the Buyer #1 #')", 1 },
    { "(message gt 'the Buyer #1 \"said\" [')", 1 },
    { "(message lt 'the Buyer #1 \"said\" [')", 0 },

    /* id */
    { "(id eq '01234567-89ab-4cde-8f01-23456789abcd')", 1 },
    { "(id eq '01234567-89AB-4CDE-8F01-23456789ABCD')", 0 },
    { "(id eq '0123456789ab4cde8f0123456789abcd')", 0 },
    { "(id ct '89AB-4')", 1 },
    { "(id gt '01234567-')", 1 },
    { "(id lt '1')", 1 },
    { "(id ne '')", 1 },

    /* createdAt */
    { "(createdAt gte '2018-1-31')", 1 },
    { "(createdAt lt '2018-2-1')", 1 },
    { "(createdAt gt '2018-02-01')", 0 },
    { "(createdAt eq '2018-01-31')", 0 },
    { "(createdAt eq '2018-01-31T09:15:27.243860Z')", 1 },
    { "(createdAt eq '2018-01-31 10:15:27.24386+01:00')", 1 },
    { "(createdAt ne '2018-01-31T09:15:27.243860Z')", 0 },
    { "(createdAt gt '2018-01-31T09:15:27.243859Z')", 1 },
    { "(createdAt gt '2018-01-31T09:15:27.243860Z')", 0 },
    { "(createdAt gte '2018-01-31T09:15:27.243860Z')", 1 },
    { "(createdAt lte '2018-01-31T09:15:27.243860Z')", 1 },
    { "(createdAt lt '2018-01-31T09:15:27.243860Z')", 0 },
    { "(createdAt ct '2018-01-31t09')", 1 },
    { "(createdAt ct '.243860z')", 1 },
    { "(createdAt ct '2018-1-31')", 0 },

    /* contains, without case */
    { "(message ct '')", 1 },
    { "(component ct '')", 1 },
    { "(component ct 'a')", 0 },
    { "(message ct 'BUYER #1 \"SAID\" \\\\ (A) and (B)\n\001\t')", 1 },
    { "(message ct 'buyers')", 0 },
    { "(message ct 'äö')", 1 },
    { "(message ct 'ÄÖ')", 1 },
    { "(message ct 'a\xcc\x88')", 0 },
    { "(message ct 'STRAßE')", 1 },
    { "(message ct 'STRASSE')", 0 },
    { "(message ct 'strasse')", 0 },
    { "(message ct 'STRAẞE')", 1 },
    { "(message ct 'ß')", 1 },
    { "(message ct 'οδυσσευς ΟΔΥΣΣΕΥΣ')", 1 },
    { "(message ct 'οδυςςευσ')", 1 },
    { "(message ct 'istanbul istanbul')", 0 },
    { "(message ct 'İSTANBUL Istanbul')", 1 },
    { "(message ct 'i\xcc\x87stanbul')", 0 },
    { "(message ct 'ıstanbul')", 0 },
    { "(message ct 'KELVIN SET')", 1 },
    { "(message ct 'kelvin \xc5\xbf" "E')", 1 },
    { "(message ct 'ⱥ 𐐨 日本')", 1 },
    { "(message ct 'ПРИВЕТ')", 1 },
    { "(message ct 'приве\xd1')", NGX_DECLINED },
    { "(message ct '日')", 1 },
    { "(email ct '@CHEF')", 1 },

    /* data: strings */
    { "(data.\"another key\" eq 'Some value')", 1 },
    { "(data.\"another key\" eq 'some value')", 0 },
    { "(data.\"another key\" ct 'ME VAL')", 1 },
    { "(data.\"another key\" gt 'Some valu')", 1 },
    { "(data.\"another key\".x eq 'Some value')", 0 },
    { "(data.esc eq 'a/\"Q\\\\\n\xf0\x9d\x84\x9e')", 1 },
    { "(data.esc ct 'A/\"q')", 1 },
    { "(data.esc ct 'u0061')", 0 },
    { "(data.esc gte 'a/\"P')", 1 },
    { "(data.kk eq 'v')", 1 },
    { "(data.\"\\\\u006bk\" eq 'v')", 0 },
    { "(data.\"\" eq 'empty')", 1 },
    { "(data.\"q\\\"\" eq 'quote')", 1 },
    { "(data.\"] } ,\" eq '[{')", 1 },
    { "(data.es eq '')", 1 },
    { "(data.es ct '')", 1 },
    { "(data.s gt '9')", 0 },
    { "(data.s eq '10.0')", 0 },
    { "(data.ÄÖ.日 ct 'GRÖSSE')", 0 },
    { "(data.ÄÖ.日 ct 'GRÖß')", 1 },
    { "(data.äö.日 ct '')", 0 },

    /* numbers by value */
    { "(data.key eq '123')", 1 },
    { "(data.key eq '123.0')", 1 },
    { "(data.key eq '1.23e2')", 1 },
    { "(data.key eq '12300E-2')", 1 },
    { "(data.key ne '123.00')", 0 },
    { "(data.key gt '9')", 1 },
    { "(data.key gt '1e3')", 0 },
    { "(data.key lt '1000')", 1 },
    { "(data.key gte '123')", 1 },
    { "(data.key lte '122.999')", 0 },
    { "(data.key ct '23')", 1 },
    { "(data.key ct '123.0')", 0 },
    { "(data.big eq '9007199254740993')", 1 },
    { "(data.big eq '9007199254740992')", 0 },
    { "(data.big gt '9007199254740992')", 1 },
    { "(data.f eq '1.5')", 1 },
    { "(data.f ct '1.50')", 1 },
    { "(data.e eq '1500')", 1 },
    { "(data.e ct 'e3')", 1 },
    { "(data.m eq '0')", 1 },
    { "(data.m lt '0')", 0 },
    { "(data.m gt '-1e-9')", 1 },
    { "(data.neg lt '-12')", 1 },
    { "(data.neg lt '-12.50')", 0 },
    { "(data.neg gt '-13')", 1 },
    { "(data.neg gt '-1.3e2')", 1 },
    { "(data.neg lt '0')", 1 },
    { "(data.neg gt '0')", 0 },
    { "(data.tiny gt '0')", 1 },
    { "(data.tiny lt '1e-399')", 1 },
    { "(data.tiny eq '10e-401')", 1 },
    { "(data.huge eq '123456789012345678901234567890')", 1 },
    { "(data.huge gt '123456789012345678901234567889.999')", 1 },
    { "(data.huge lt '1e99999999999999999999')", 1 },
    { "(data.huge gt '-1e99999999999999999999')", 1 },

    /* by their text, where the value is no number */
    { "(data.key eq '123.')", 0 },
    { "(data.key eq '0123')", 0 },
    { "(data.key eq '+123')", 0 },
    { "(data.key gt '+123')", 1 },
    { "(data.key lt '1x')", 1 },
    { "(data.key lt 'abc')", 1 },
    { "(data.key gt '')", 1 },
    { "(data.key eq ' 123')", 0 },
    { "(data.key eq '0x7b')", 0 },

    /* true, false and null by their text */
    { "(data.t eq 'true')", 1 },
    { "(data.t eq 'True')", 0 },
    { "(data.t eq '1')", 0 },
    { "(data.t ne 'false')", 1 },
    { "(data.t ct 'RU')", 1 },
    { "(data.t gt 'false')", 1 },
    { "(data.no eq 'false')", 1 },
    { "(data.z eq 'null')", 1 },
    { "(data.z eq '')", 0 },
    { "(data.z ct 'ULL')", 1 },

    /* arrays and objects */
    { "(data.n.a.0 eq '10')", 1 },
    { "(data.n.a.1 eq '20.5')", 1 },
    { "(data.n.a.2.x eq 'y')", 1 },
    { "(data.n.a.\"0\" eq '10')", 1 },
    { "(data.n.a.00 eq '10')", 0 },
    { "(data.n.a.4 eq '10')", 0 },
    { "(data.n.a.3.0 eq '10')", 0 },
    { "(data.n.a.-1 eq '10')", 0 },
    { "(data.n.a.1e0 eq '20.5')", 0 },
    { "(data.n.a.4294967296 eq '10')", 0 },
    { "(data.n.a.18446744073709551616 eq '10')", 0 },
    { "(data.n.0 eq 'zero')", 1 },
    { "(data.n eq '{\"a\":[10,20.50,{\"x\":\"y\"},[]],\"0\":\"zero\"}')", 1 },
    { "(data.n.a.3 eq '[]')", 1 },
    { "(data.n.a.3 ne '[]')", 0 },
    { "(data.arr eq '[]')", 1 },
    { "(data.none eq '{}')", 1 },
    { "(data.none.a eq '{}')", 0 },
    { "(data.obj ct '\"a\":[\"\\\\U0041')", 1 },
    { "(data.obj eq '{\"b\":1,\"A\":[\"A\"]}')", 0 },
    { "(data.obj ne '{\"b\":1,\"A\":[\"A\"]}')", 1 },
    { "(data.obj gt '')", 0 },
    { "(data.obj lt 'zzz')", 0 },
    { "(data.arr gte '[]')", 0 },
    { "(data.arr lte '[]')", 0 },

    /* what is missing matches nothing but ne */
    { "(data.x eq '')", 0 },
    { "(data.x ne '')", 1 },
    { "(data.x ct '')", 0 },
    { "(data.x lt 'z')", 0 },
    { "(data.x gte '')", 0 },
    { "(data.key.x ne '123')", 1 },
    { "(data.n.b ne 'a')", 1 },
    { "(data.Key eq '123')", 0 },

    /* several places, one in another */
    { "(data.n ct 'zero')AND(data.n.a ct '20.50')AND(data.n.a.2 ct 'x')"
      "AND(data.n.a.2.x eq 'y')AND(data.key eq '123')AND(data.z eq 'null')"
      "AND(data.n.a.2.x ne 'z')AND(data.n.\"0\" ct 'ZER')", 1 },
    { "(data.n.a.0 eq '10')AND(data.obj.b eq '1')AND(data.nowhere eq 'x')",
      0 },

    /* AND, OR and brackets */
    { "(component eq '')AND(email eq 'x')", 0 },
    { "(component eq '')OR(email eq 'x')", 1 },
    { "(component eq '')OR(email eq 'x')AND(id eq 'x')", 1 },
    { "((component eq '')OR(email eq 'x'))AND(id eq 'x')", 0 },
    { "(id eq 'x')AND(email eq 'x')OR(component eq '')", 1 },
    { "(id eq 'x')AND((email eq 'x')OR(component eq ''))", 0 },
    { "((message ct 'buyer')AND(data.key eq '123'))OR(id eq '')", 1 },
    { "((message ct 'seller')AND(data.key eq '123'))OR"
      "((component ne '')AND(message ct 'buyer'))", 0 },
    { "(message ct 'seller')OR(message ct 'buyer')", 1 },
    { "(message ct 'buyer')AND(message ct 'istanbul')AND(email ct 'DIEGO')",
      1 }
};


static void
test_dump(const evs_filter_t *node, char *buf, size_t size)
{
    ngx_uint_t           i;
    const evs_filter_t  *child;

#define put(...)                                                             \
    (void) snprintf(buf + strlen(buf), size - strlen(buf), __VA_ARGS__)

    if (node == NULL) {
        put("all");
        return;
    }

    if (node->type != EVS_FILTER_TERM) {
        put("(");

        for (child = node->children; child != NULL; child = child->next) {
            test_dump(child, buf, size);

            if (child->next != NULL) {
                put(" %s ", node->type == EVS_FILTER_AND ? "AND" : "OR");
            }
        }

        put(")");
        return;
    }

    put("%s", evs_filter_fields[node->field].data);

    for (i = 0; i < node->npath; i++) {
        put(".<%.*s>", (int) node->path[i].len, node->path[i].data);
    }

    put(" %s ", evs_filter_ops[node->op].data);

    if (node->field == EVS_FILTER_CREATED_AT && node->op != EVS_FILTER_CT) {
        put("@%lld", (long long) node->us);

    } else {
        put("[%.*s]", (int) node->value.len, node->value.data);
    }

#undef put
}


/* From a block of exactly its size, which is gone when the filter is used. */

static ngx_int_t
test_parse(evs_filter_t **filter, ngx_pool_t *pool, const char *text,
    size_t len, evs_filter_fault_t *fault)
{
    ngx_int_t  rc;
    ngx_str_t  copy;

    copy.len = len;
    copy.data = malloc(len > 0 ? len : 1);
    assert_non_null(copy.data);
    memcpy(copy.data, text, len);

    rc = evs_filter_parse(filter, pool, &copy, fault);

    assert_memory_equal(copy.data, text, len);
    free(copy.data);

    return rc;
}


static void
test_filter_trees(void **state)
{
    char                dump[4096];
    size_t              i;
    ngx_pool_t         *pool;
    evs_filter_t       *filter;
    evs_filter_fault_t  fault;

    for (i = 0; i < sizeof(tree_cases) / sizeof(tree_cases[0]); i++) {
        pool = ngx_create_pool(4096, NULL);

        fault.text.len = 0;

        if (test_parse(&filter, pool, tree_cases[i].text,
                       strlen(tree_cases[i].text), &fault)
            != NGX_OK)
        {
            fail_msg("%s: %.*s", tree_cases[i].text, (int) fault.text.len,
                     fault.text.data);
        }

        dump[0] = '\0';
        test_dump(filter, dump, sizeof(dump));
        assert_string_equal(dump, tree_cases[i].tree);

        ngx_destroy_pool(pool);
    }
}


static void
test_fault(const char *text, size_t len, ngx_uint_t column,
    const char *expected)
{
    char                 sentence[512], got[512];
    ngx_pool_t          *pool;
    evs_filter_t        *filter;
    evs_filter_fault_t   fault;

    pool = ngx_create_pool(4096, NULL);

    if (test_parse(&filter, pool, text, len, &fault) != NGX_DECLINED) {
        fail_msg("%.*s: is taken", (int) len, text);
    }

    assert_null(filter);

    (void) snprintf(sentence, sizeof(sentence), "%.80s: column %lu: %s", text,
                    (unsigned long) column, expected);
    (void) snprintf(got, sizeof(got), "%.80s: %.*s", text,
                    (int) fault.text.len, fault.text.data);

    assert_string_equal(got, sentence);
    assert_int_equal(fault.column, column);

    ngx_destroy_pool(pool);
}


static void
test_filter_faults(void **state)
{
    size_t  i;

    for (i = 0; i < sizeof(fault_cases) / sizeof(fault_cases[0]); i++) {
        test_fault(fault_cases[i].text, strlen(fault_cases[i].text),
                   fault_cases[i].column, fault_cases[i].expected);
    }

    test_fault("(id eq '\0')", 11, 9, "expected a character other than NUL");
    test_fault("\0", 1, 1, "expected a character other than NUL");
}


/* n times a text, between others. */

static char *
test_repeat(const char *before, const char *text, size_t n,
    const char *between, const char *behind)
{
    char    *buf, *p;
    size_t   i;

    buf = malloc(strlen(before) + n * (strlen(text) + strlen(between))
                 + strlen(behind) + 1);
    assert_non_null(buf);

    p = stpcpy(buf, before);

    for (i = 0; i < n; i++) {
        p = stpcpy(p, (i > 0) ? between : "");
        p = stpcpy(p, text);
    }

    (void) stpcpy(p, behind);

    return buf;
}


static void
test_limit(char *fits, char *over, ngx_uint_t column, const char *expected)
{
    ngx_pool_t          *pool;
    evs_filter_t        *filter;
    evs_filter_fault_t   fault;

    pool = ngx_create_pool(4096, NULL);

    assert_int_equal(test_parse(&filter, pool, fits, strlen(fits), &fault),
                     NGX_OK);
    assert_non_null(filter);
    assert_non_null(evs_filter_matcher(pool, filter));

    ngx_destroy_pool(pool);

    test_fault(over, strlen(over), column, expected);

    free(fits);
    free(over);
}


static void
test_filter_limits(void **state)
{
    char  close[100], behind[128];

    /* 4096 bytes */

    test_limit(test_repeat("(id eq '", "x", 4086, "", "')"),
               test_repeat("(id eq '", "x", 4087, "", "')"), 4097,
               "expected the end, since a filter has at most 4096 bytes");
    test_limit(test_repeat("(id eq '", "ä", 2043, "", "')"),
               test_repeat("(id eq 'x", "ä", 2043, "", "')"), 2054,
               "expected the end, since a filter has at most 4096 bytes");
    test_limit(test_repeat("(id eq ''", " ", 4086, "", ")"),
               test_repeat("", "(", 100000, "", ""), 4097,
               "expected the end, since a filter has at most 4096 bytes");

    /* 64 comparisons, however they are joined */

    test_limit(test_repeat("", "(id eq'')", 64, "OR", ""),
               test_repeat("", "(id eq'')", 65, "OR", ""), 64 * 11 + 2,
               "expected at most 64 comparisons");
    test_limit(test_repeat("((id eq'')OR(id eq''))AND(", "(id eq'')", 62,
                           "AND", ")"),
               test_repeat("((id eq'')OR(id eq''))AND(", "(id eq'')", 63,
                           "AND", ")"), 26 + 62 * 12 + 2,
               "expected at most 64 comparisons");

    /* 100 brackets in each other, those of the comparison too */

    memset(close, ')', 99);
    close[99] = '\0';
    (void) snprintf(behind, sizeof(behind), "(id eq '')%s", close);

    test_limit(test_repeat("", "(", 99, "", behind),
               test_repeat("", "(", 100, "", behind), 101,
               "expected at most 100 brackets in each other");

    /* one behind the other there may be as many as one likes */

    test_limit(test_repeat("", "((id eq''))", 64, "AND", ""),
               test_repeat("", "(", 4096, "", ""), 101,
               "expected at most 100 brackets in each other");

    /* a path */

    test_limit(test_repeat("(data", ".a", 32, "", " eq '')"),
               test_repeat("(data", ".a", 33, "", " eq '')"), 6 + 32 * 2,
               "expected a path of at most 32 segments");
}


static void
test_string(ngx_str_t *str, const char *text)
{
    str->data = (u_char *) text;
    str->len = strlen(text);
}


static void
test_canonical(ngx_pool_t *pool, ngx_str_t *json, const ngx_str_t *text)
{
    json->len = evs_json_escape(NULL, text->data, text->len);
    json->data = ngx_palloc(pool, json->len + 1);
    assert_non_null(json->data);

    (void) evs_json_escape(json->data, text->data, text->len);
}


static void
test_record(ngx_pool_t *pool, evs_record_t *record,
    const judge_record_t *plain)
{
    size_t    i;
    unsigned  byte;

    record->us = plain->us;
    record->data = plain->data;

    for (i = 0; i < 16; i++) {
        (void) sscanf((char *) plain->id.data + i * 2 + (i >= 4) + (i >= 6)
                      + (i >= 8) + (i >= 10), "%2x", &byte);
        record->id[i] = (u_char) byte;
    }

    test_canonical(pool, &record->email, &plain->email);
    test_canonical(pool, &record->environment, &plain->environment);
    test_canonical(pool, &record->component, &plain->component);
    test_canonical(pool, &record->message, &plain->message);
}


static void
test_plain(judge_record_t *plain)
{
    plain->us = TEST_US;

    test_string(&plain->id, (char *) test_id);
    test_string(&plain->email, test_email);
    test_string(&plain->environment, test_environment);
    test_string(&plain->component, test_component);
    test_string(&plain->message, test_message);
    test_string(&plain->data, test_data);
}


static void
test_filter_matches(void **state)
{
    int                    judged;
    size_t                 i;
    ngx_int_t              rc;
    ngx_pool_t            *pool;
    const char            *text;
    evs_record_t           record;
    evs_filter_t          *filter;
    judge_record_t         plain;
    evs_filter_fault_t     fault;
    evs_filter_matcher_t  *matcher;

    pool = ngx_create_pool(4096, NULL);

    test_plain(&plain);
    test_record(pool, &record, &plain);

    for (i = 0; i < sizeof(match_cases) / sizeof(match_cases[0]); i++) {
        text = match_cases[i].text;

        rc = test_parse(&filter, pool, text, strlen(text), &fault);

        if (rc == NGX_OK) {
            matcher = evs_filter_matcher(pool, filter);
            assert_non_null(matcher);

            rc = evs_filter_match(matcher, &record);

            /* nothing is left over for the next record */

            assert_int_equal(evs_filter_match(matcher, &record), rc);

            judged = judge_match(filter, &plain);

            if (judged != rc && judged != JUDGE_UNKNOWN) {
                fail_msg("%s: %ld, for the judge %d", text, (long) rc,
                         judged);
            }
        }

        if (rc != match_cases[i].matches) {
            fail_msg("%s: %ld", text, (long) rc);
        }
    }

    ngx_destroy_pool(pool);
}


/* Data that is no object, and what Redis may have in place of data. */

static void
test_filter_foreign(void **state)
{
    size_t                 i, len;
    u_char                *data;
    ngx_pool_t            *pool;
    const char            *text;
    evs_record_t           record;
    evs_filter_t          *filter;
    judge_record_t         plain;
    evs_filter_fault_t     fault;
    evs_filter_matcher_t  *matcher;

    static const match_case_t  cases[] = {
        { "1", 0 }, { "\"a\"", 0 }, { "[]", 0 }, { "null", 0 }, { "", 0 },
        { "[1,{\"a\":\"v\"}]", 0 }, { "{\"a\":\"v\"}", 1 },
        { "{\"a\":\"v\",", 1 }, { "{\"b\":1,\"a\":\"v\"", 1 },
        { "{\"a\":\"v", 0 }, { "{\"a\":", 0 }, { "{\"a\"", 0 }, { "{", 0 },
        { "{\"a\":\"\\u00", 0 }, { "{\"a\":\"\\", 0 }, { "{\"\\u00\":1}", 0 },
        { "{\"b\":[\"]\",\"a\":\"v\"}", 0 },
        { "{\"b\":,\"a\":\"v\"}", 0 }, { "{,\"a\":\"v\"}", 0 },
        { "{\"b\":1;\"a\":\"v\"}", 0 }, { "{a:\"v\"}", 0 },
        { "{\"a\":\"x\",\"a\":\"v\"}", 0 }, { "{\"a\":\"v\",\"a\":\"x\"}", 1 }
    };

    pool = ngx_create_pool(4096, NULL);
    text = "((data.a eq 'v')OR(data.0 ct 'zz'))";

    assert_int_equal(test_parse(&filter, pool, text, strlen(text), &fault),
                     NGX_OK);

    matcher = evs_filter_matcher(pool, filter);
    assert_non_null(matcher);

    test_plain(&plain);
    test_record(pool, &record, &plain);

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        len = strlen(cases[i].text);
        data = malloc(len > 0 ? len : 1);
        memcpy(data, cases[i].text, len);

        record.data.data = data;
        record.data.len = len;

        if (evs_filter_match(matcher, &record) != cases[i].matches) {
            fail_msg("%s", cases[i].text);
        }

        free(data);
    }

    ngx_destroy_pool(pool);
}


/* A path of 32 segments leads into data that is as deep, and no deeper. */

static void
test_filter_deep(void **state)
{
    char                  *text;
    ngx_uint_t             depth;
    ngx_pool_t            *pool;
    evs_record_t           record;
    evs_filter_t          *filter;
    judge_record_t         plain;
    evs_filter_fault_t     fault;

    for (depth = 31; depth <= 100000; depth += 99969 / 3) {
        pool = ngx_create_pool(4096, NULL);

        test_plain(&plain);
        test_record(pool, &record, &plain);

        text = test_repeat("(data", ".0", 32, "", " ct '[')");
        assert_int_equal(test_parse(&filter, pool, text, strlen(text),
                                    &fault), NGX_OK);
        free(text);

        text = test_repeat("", "[", depth, "", "");
        text = realloc(text, 2 * depth + 1);
        memset(text + depth, ']', depth);

        record.data.data = (u_char *) text;
        record.data.len = 2 * depth;

        assert_int_equal(evs_filter_match(evs_filter_matcher(pool, filter),
                                          &record), depth > 32);
        free(text);
        ngx_destroy_pool(pool);
    }
}


static void
test_filter_no_memory(void **state)
{
    size_t                 i, n;
    ngx_int_t              rc;
    ngx_pool_t            *pool;
    evs_record_t           record;
    evs_filter_t          *filter;
    judge_record_t         plain;
    evs_filter_fault_t     fault;
    evs_filter_matcher_t  *matcher;

    static const char  *texts[] = {
        "(message ct 'seller')OR(data.a.b lt '1')AND(data.esc lt 'b')"
        "AND(data.esc ct 'Q')",
        "(message ct 'a)"
    };

    for (i = 0; i < 2; i++) {
        for (n = 0; /* void */ ; n++) {
            pool = ngx_create_pool(4096, NULL);

            test_plain(&plain);
            test_record(pool, &record, &plain);

            ngx_shim_allocs = (ngx_int_t) n;

            rc = test_parse(&filter, pool, texts[i], strlen(texts[i]),
                            &fault);

            if (rc == NGX_OK) {
                matcher = evs_filter_matcher(pool, filter);
                rc = (matcher == NULL) ? NGX_ERROR
                                       : evs_filter_match(matcher, &record);
            }

            ngx_shim_allocs = -1;
            ngx_destroy_pool(pool);

            if (rc != NGX_ERROR) {
                break;
            }
        }

        assert_int_equal(rc, i == 0 ? 0 : NGX_DECLINED);
        assert_true(n > 1);
    }
}


static size_t
test_utf8(u_char *p, uint32_t c)
{
    size_t  i, n;

    if (c < 0x80) {
        *p = (u_char) c;
        return 1;
    }

    n = (c < 0x800) ? 2 : (c < 0x10000) ? 3 : 4;

    for (i = n - 1; i > 0; i--) {
        p[i] = (u_char) (0x80 | (c & 0x3f));
        c >>= 6;
    }

    p[0] = (u_char) ((0xf00 >> n) | c);

    return n;
}


static uint32_t
test_fold(uint32_t c)
{
    size_t     n, len;
    u_char     text[4], folded[evs_fold_size(4)];
    uint32_t  *chars;
    ngx_str_t  str;

    n = test_utf8(text, c);
    len = evs_fold(folded, text, n);

    assert_true(len <= evs_fold_size(n));

    str.data = folded;
    str.len = len;

    chars = judge_chars(&str, &n);
    assert_int_equal(n, 1);
    c = chars[0];
    free(chars);

    return c;
}


/*
 * All letters that have another case, against PCRE2: each is found among them
 * exactly where its folding is.
 */

static void
test_filter_fold(void **state)
{
    int                rc, error;
    char               version[32];
    u_char            *text, *p, pattern[4];
    size_t             i, j, n, offset, changed, same;
    uint32_t           c, *cased, *folded;
    PCRE2_SIZE        *place;
    pcre2_code        *code;
    pcre2_match_data  *match;

    n = 0;
    changed = 0;
    cased = malloc(4000 * sizeof(uint32_t));
    folded = malloc(4000 * sizeof(uint32_t));
    text = malloc(4000 * 4);

    for (c = 1; c < 0x110000; c++) {
        if ((c < 0xd800 || c > 0xdfff) && test_fold(c) != c) {
            assert_int_equal(test_fold(test_fold(c)), test_fold(c));

            cased[n++] = c;
            changed++;
        }
    }

    /* the lines of C and S in Unicode 14's CaseFolding.txt */

    assert_int_equal(changed, 1454);

    for (i = 0; i < changed; i++) {
        c = test_fold(cased[i]);

        for (j = changed; j < n && cased[j] != c; j++) { /* void */ }

        if (j == n) {
            assert_true(n < 4000);
            cased[n++] = c;
        }
    }

    for (i = 0, p = text; i < n; i++) {
        folded[i] = test_fold(cased[i]);
        p += test_utf8(p, cased[i]);
    }

    /* later versions have more letters, but none that are others */

    assert_true(pcre2_config(PCRE2_CONFIG_UNICODE_VERSION, version) > 0);

    if (atoi(version) < 14) {
        n = 0;
    }

    match = pcre2_match_data_create(1, NULL);

    for (i = 0; i < n; i++) {
        code = pcre2_compile(pattern, test_utf8(pattern, cased[i]),
                             PCRE2_LITERAL|PCRE2_UTF|PCRE2_CASELESS, &error,
                             &offset, NULL);
        assert_non_null(code);

        same = 0;

        for (j = 0; j < n; j++) {
            same += (folded[j] == folded[i]);
        }

        offset = 0;

        for ( ;; ) {
            rc = pcre2_match(code, text, (size_t) (p - text), offset,
                             PCRE2_NO_UTF_CHECK, match, NULL);
            if (rc < 0) {
                break;
            }

            place = pcre2_get_ovector_pointer(match);
            offset = place[1];
            same--;
        }

        if (same != 0) {
            fail_msg("U+%04X", cased[i]);
        }

        pcre2_code_free(code);
    }

    pcre2_match_data_free(match);
    free(cased);
    free(folded);
    free(text);
}


/* Every length and place of a letter, for what is folded at once. */

static void
test_filter_fold_ascii(void **state)
{
    size_t   i, n;
    u_char   text[40], folded[evs_fold_size(40)];
    unsigned c;

    for (c = 0; c < 0x80; c++) {
        for (n = 1; n <= 24; n++) {
            memset(text, 'm', sizeof(text));
            text[n - 1] = (u_char) c;

            assert_int_equal(evs_fold(folded, text, n), n);

            for (i = 0; i < n; i++) {
                assert_int_equal(folded[i], (text[i] >= 'A' && text[i] <= 'Z')
                                            ? text[i] + 32 : text[i]);
            }
        }
    }

    /* what is no UTF-8 stays as it is */

    assert_int_equal(evs_fold(folded, (u_char *) "A\xff" "B\xc3", 4), 4);
    assert_memory_equal(folded, "a\xff" "b\xc3", 4);
}


/*
 * What the random cases are made of: few words, so that they meet, and each
 * with something that a parser, a decoder or a comparison may stumble over.
 */

static const char  *test_words[] = {
    "", "a", "A", "b", "ab", "aB", " ", ".", "'", "\"", "\\", "\\\\", "(", ")",
    "()", "AND", " AND ", "OR", ") OR (", "eq", "data", "(id eq 'a')", "0",
    "1", "00", "-1", "10", "9", "1.0", "1e1", "-0", "true", "null", "{}", "[]",
    "[0]", "Ä", "ä", "a\xcc\x88", "ß", "ẞ", "ss", "Σ", "σ", "ς", "ΣΑΣ", "İ",
    "i", "I", "ı", "i\xcc\x87", "\xe2\x84\xaa", "k", "K", "\xc5\xbf", "s", "é",
    "日本", "𐐀", "𐐨", "Ⱥ", "ⱥ", "\n", "\t", "\r", "\x7f", "\001", "\xc2\x85",
    "\xef\xbf\xbf", "\xf4\x8f\xbf\xbf", "2018", "2018-01-31", "t09", "abcabd"
};

#define WORDS  (sizeof(test_words) / sizeof(test_words[0]))


/* One to three words. */

static void
test_random_text(ngx_pool_t *pool, uint64_t *random, ngx_str_t *text)
{
    u_char      *p;
    const char  *word;
    ngx_uint_t   n;

    p = ngx_palloc(pool, 64);
    assert_non_null(p);

    text->data = p;
    n = 1 + judge_random(random, 3) * judge_random(random, 2);

    while (n--) {
        word = test_words[judge_random(random, WORDS)];
        p = ngx_cpymem(p, word, strlen(word));
    }

    text->len = (size_t) (p - text->data);
}


/* As a JSON string, with escapes that need not be. */

static u_char *
test_random_string(u_char *p, uint64_t *random, const ngx_str_t *text)
{
    size_t     i;
    u_char     c;
    ngx_str_t  one;

    *p++ = '"';

    for (i = 0; i < text->len; i++) {
        c = text->data[i];

        if (c < 0x80 && judge_random(random, 6) == 0) {
            p += sprintf((char *) p, judge_random(random, 2) ? "\\u%04x"
                                                             : "\\u%04X", c);

        } else if (c < 0x80) {
            one.data = &c;
            one.len = 1;
            p += evs_json_escape(p, one.data, one.len);

        } else {
            *p++ = c;
        }
    }

    *p++ = '"';

    return p;
}


static const char  *test_names[] = {
    "a", "b", "A", "0", "1", "", "k y", "x.y", "\"q", "é", "eq", "\\"
};

#define NAMES  (sizeof(test_names) / sizeof(test_names[0]))

static const char  *test_numbers[] = {
    "0", "-0", "1", "10", "9", "1.0", "10.0", "1e1", "1E+1", "100e-1", "-1",
    "-1.5", "-10", "0.1", "0.10", "1e-1", "0.01", "9007199254740993",
    "9007199254740992", "9007199254740992.5", "1e30", "-9", "0.09", "10.01"
};

#define NUMBERS  (sizeof(test_numbers) / sizeof(test_numbers[0]))


static u_char *
test_random_json(u_char *p, uint64_t *random, ngx_uint_t depth)
{
    ngx_str_t    text;
    ngx_uint_t   i, n, first, kind;
    ngx_pool_t  *pool;

    kind = judge_random(random, (depth == 0) ? 5 : 8);

    if (depth == 3) {
        kind = 5;
    }

    switch (kind) {

    case 0:
    case 1:
        pool = ngx_create_pool(1024, NULL);
        test_random_text(pool, random, &text);
        p = test_random_string(p, random, &text);
        ngx_destroy_pool(pool);
        return p;

    case 2:
    case 3:
        return (u_char *) stpcpy((char *) p,
                           test_numbers[judge_random(random, NUMBERS)]);

    case 4:
        n = judge_random(random, 3);
        return (u_char *) stpcpy((char *) p, (n == 0) ? "true"
                                             : (n == 1) ? "false" : "null");

    case 5:
    case 6:
        *p++ = '{';
        first = judge_random(random, NAMES);
        n = judge_random(random, 5);

        for (i = 0; i < n; i++) {
            if (i > 0) {
                *p++ = ',';
            }

            test_string(&text, test_names[(first + i) % NAMES]);
            p = test_random_string(p, random, &text);
            *p++ = ':';
            p = test_random_json(p, random, depth - (depth > 0));
        }

        *p++ = '}';
        return p;

    default:
        *p++ = '[';
        n = judge_random(random, 4);

        for (i = 0; i < n; i++) {
            if (i > 0) {
                *p++ = ',';
            }

            p = test_random_json(p, random, depth - (depth > 0));
        }

        *p++ = ']';
        return p;
    }
}


static int64_t
test_random_us(uint64_t *random)
{
    int64_t  us;

    /* 2018-01-30 to 2018-02-01: midnights, and what is beside them */

    us = 1517270400000000LL + (int64_t) judge_random(random, 3) * 86400000000LL;

    switch (judge_random(random, 4)) {

    case 0:
        return us + 1;

    case 1:
        return us - 1;

    case 2:
        return us + (int64_t) judge_random(random, 86400) * 1000000;

    default:
        return us;
    }
}


static void
test_random_record(ngx_pool_t *pool, uint64_t *random, judge_record_t *plain)
{
    u_char  *p;

    plain->us = test_random_us(random);
    test_string(&plain->id, (char *) test_id);

    test_random_text(pool, random, &plain->email);
    test_random_text(pool, random, &plain->environment);
    test_random_text(pool, random, &plain->component);
    test_random_text(pool, random, &plain->message);

    p = ngx_palloc(pool, 64 * 1024);
    assert_non_null(p);

    plain->data.data = p;
    plain->data.len = (size_t) (test_random_json(p, random, 3) - p);
}


/* A part of what the record has, or anything. */

static void
test_random_value(ngx_pool_t *pool, uint64_t *random, const ngx_str_t *text,
    ngx_str_t *value)
{
    size_t  from, to;

    if (text == NULL || text->len == 0 || judge_random(random, 2)) {
        test_random_text(pool, random, value);

        if (text == NULL && judge_random(random, 2)) {
            test_string(value, test_numbers[judge_random(random, NUMBERS)]);
        }

        return;
    }

    *value = *text;

    if (judge_random(random, 2)) {
        return;
    }

    from = judge_random(random, text->len);
    to = from + judge_random(random, text->len - from + 1);

    while (from > 0 && (text->data[from] & 0xc0) == 0x80) {
        from--;
    }

    while (to < text->len && (text->data[to] & 0xc0) == 0x80) {
        to++;
    }

    value->data = text->data + from;
    value->len = to - from;
}


static evs_filter_t *
test_random_term(ngx_pool_t *pool, uint64_t *random,
    const judge_record_t *plain)
{
    ngx_uint_t        i;
    evs_filter_t     *term;
    const ngx_str_t  *fields[] = {
        &plain->id, &plain->email, &plain->environment, &plain->component,
        &plain->message, NULL, NULL
    };

    term = ngx_pcalloc(pool, sizeof(evs_filter_t));
    assert_non_null(term);

    term->type = EVS_FILTER_TERM;
    term->field = judge_random(random, 2) ? EVS_FILTER_DATA
                                     : judge_random(random, EVS_FILTER_FIELDS);
    term->op = judge_random(random, EVS_FILTER_OPS);

    if (term->field == EVS_FILTER_CREATED_AT && term->op != EVS_FILTER_CT) {
        term->us = judge_random(random, 2) ? plain->us
                                           : test_random_us(random);
        return term;
    }

    test_random_value(pool, random, fields[term->field], &term->value);

    if (term->field != EVS_FILTER_DATA) {
        return term;
    }

    term->npath = 1 + judge_random(random, 3);
    term->path = ngx_palloc(pool, term->npath * sizeof(ngx_str_t));
    assert_non_null(term->path);

    for (i = 0; i < term->npath; i++) {
        test_string(&term->path[i], test_names[judge_random(random, NAMES)]);
    }

    return term;
}


static evs_filter_t *
test_random_tree(ngx_pool_t *pool, uint64_t *random,
    const judge_record_t *plain, ngx_uint_t depth)
{
    ngx_uint_t     n;
    evs_filter_t  *node, **last;

    if (depth == 0 || judge_random(random, 3) == 0) {
        return test_random_term(pool, random, plain);
    }

    node = ngx_pcalloc(pool, sizeof(evs_filter_t));
    assert_non_null(node);

    node->type = judge_random(random, 2) ? EVS_FILTER_AND : EVS_FILTER_OR;
    last = &node->children;

    for (n = 2 + judge_random(random, 2); n > 0; n--) {
        *last = test_random_tree(pool, random, plain, depth - 1);
        last = &(*last)->next;
    }

    return node;
}


static void
test_filter_judge(void **state)
{
    int                    rc;
    u_char                *text;
    uint64_t               random;
    ngx_str_t              str;
    ngx_uint_t             i, j, seen[2], known;
    ngx_pool_t            *pool;
    evs_record_t           record;
    evs_filter_t          *tree, *filter, *again;
    judge_record_t         plain;
    evs_filter_fault_t     fault;
    evs_filter_matcher_t  *matcher;

    random = 20180131;
    seen[0] = 0;
    seen[1] = 0;

    for (i = 0; i < 20000; i++) {
        pool = ngx_create_pool(4096, NULL);

        test_random_record(pool, &random, &plain);
        tree = test_random_tree(pool, &random, &plain, i % 4);

        text = ngx_palloc(pool, EVS_FILTER_MAX_LEN);

        if (judge_print(tree, i, text, EVS_FILTER_MAX_LEN, &str) != NGX_OK) {
            ngx_destroy_pool(pool);
            continue;
        }

        if (evs_filter_parse(&filter, pool, &str, &fault) != NGX_OK) {
            fail_msg("%.*s\n%.*s", (int) str.len, str.data,
                     (int) fault.text.len, fault.text.data);
        }

        /* in another spelling it is the same */

        if (judge_print(filter, i + 1, text, EVS_FILTER_MAX_LEN, &str)
            == NGX_OK)
        {
            assert_int_equal(evs_filter_parse(&again, pool, &str, &fault),
                             NGX_OK);
            assert_true(judge_same(filter, again));
        }

        matcher = evs_filter_matcher(pool, filter);
        assert_non_null(matcher);

        /* one matcher for several records: it keeps nothing */

        for (j = 0; j < 3; j++) {
            known = judge_match(tree, &plain);
            test_record(pool, &record, &plain);

            rc = (int) evs_filter_match(matcher, &record);

            if (known == JUDGE_UNKNOWN || (ngx_uint_t) rc != known) {
                fail_msg("%.*s\nis %d, not %lu, for %.*s", (int) str.len,
                         str.data, rc, (unsigned long) known,
                         (int) plain.data.len, plain.data.data);
            }

            seen[rc]++;

            test_random_record(pool, &random, &plain);
        }

        ngx_destroy_pool(pool);
    }

    /* else the cases would be of no use */

    assert_true(seen[0] > 10000 && seen[1] > 10000);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_filter_trees),
        cmocka_unit_test(test_filter_faults),
        cmocka_unit_test(test_filter_limits),
        cmocka_unit_test(test_filter_matches),
        cmocka_unit_test(test_filter_foreign),
        cmocka_unit_test(test_filter_deep),
        cmocka_unit_test(test_filter_no_memory),
        cmocka_unit_test(test_filter_fold),
        cmocka_unit_test(test_filter_fold_ascii),
        cmocka_unit_test(test_filter_judge)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
