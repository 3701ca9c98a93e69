
/*
 * The text of ZADD, the command that keeps events: its head, and the score
 * and the member of each entry, ready for Redis.
 */


#ifndef _EVS_ZADD_H_INCLUDED_
#define _EVS_ZADD_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/entry.h"
#include "store/id.h"
#include "store/store.h"


/* "*<argc>\r\n$4\r\nZADD\r\n$<len>\r\n<key>\r\n", for n entries */
#define EVS_ZADD_HEAD_MAX                                                     \
    (sizeof("*\r\n$4\r\nZADD\r\n") + NGX_INT_T_LEN                            \
     + EVS_RESP_ARG_MAX + EVS_STORE_KEY_MAX)

u_char *evs_zadd_head(u_char *p, const u_char *key, size_t len, ngx_uint_t n);

/*
 * "$<len>\r\n<score>\r\n$<len>\r\n<member>\r\n": at most evs_zadd_entry_max()
 * bytes.  An EVENT without an id of its own takes the next one; member is
 * where its member lies then.
 */
size_t evs_zadd_entry_max(const evs_entry_t *entry);
u_char *evs_zadd_entry(u_char *p, const evs_entry_t *entry, evs_id_t *id,
    ngx_str_t *member);

/* Decimal digits of n. */
ngx_uint_t evs_zadd_digits(ngx_uint_t n);


#endif /* _EVS_ZADD_H_INCLUDED_ */
