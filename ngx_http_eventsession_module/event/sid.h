
/*
 * Session ids (contract, section 0): what is accepted, and the one canonical
 * form, so that one session has one key.
 */


#ifndef _EVS_SID_H_INCLUDED_
#define _EVS_SID_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define EVS_SID_MAX       128

#define EVS_SID_UUID      0      /* eventsession_session_id uuid; */
#define EVS_SID_ANY       1      /* eventsession_session_id any; */


typedef struct {
    size_t             len;
    u_char             data[EVS_SID_MAX];
} evs_sid_t;


/*
 * A UUID in any case, with its four dashes or with none, becomes lower case
 * with dashes.  With EVS_SID_ANY, 1-128 of [A-Za-z0-9._~-] that are no UUID
 * are taken as they are.  NGX_OK, or NGX_DECLINED: not a session id.
 */
ngx_int_t evs_sid_parse(evs_sid_t *sid, ngx_uint_t kind, const u_char *text,
    size_t len);


#endif /* _EVS_SID_H_INCLUDED_ */
