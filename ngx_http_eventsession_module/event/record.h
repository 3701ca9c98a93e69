
/*
 * A record of the event log (contract, section 5), as a view of where it lies:
 * a POST's body, or a member that Redis returned.
 */


#ifndef _EVS_RECORD_H_INCLUDED_
#define _EVS_RECORD_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * The four texts are the insides of JSON strings, in the canonical form of
 * evs_json_canonical(), so that equal texts are equal bytes.
 */
typedef struct {
    int64_t            us;       /* createdAt, µs since the epoch */
    u_char             id[16];   /* of the UUID */
    ngx_str_t          email;
    ngx_str_t          environment;
    ngx_str_t          component;
    ngx_str_t          message;
    ngx_str_t          data;     /* JSON as it was sent, but compact */
} evs_record_t;


#endif /* _EVS_RECORD_H_INCLUDED_ */
