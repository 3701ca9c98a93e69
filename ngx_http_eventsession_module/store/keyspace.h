
/*
 * What a process has once for a keyspace, the keys of one prefix on one Redis:
 * a feed, a registry of workers, what is known of chunks.  Each room that has
 * such objects keeps them in a list of its own, and they carry their place in
 * it, as with ngx_queue_t:
 *
 *     - the room makes an object at the first call that names its keyspace,
 *       and puts it into the list when it is complete;
 *     - it stays until the process ends: nobody has to give it back, and who
 *       was handed it may hold it as long;
 *     - the room's exit function takes the objects out, one after the other,
 *       and frees them.  ngx_http_eventsession_module.c has their order.
 *
 * Settings are borrowed: a process has one configuration, which outlives what
 * is made of it.
 */


#ifndef _EVS_KEYSPACE_H_INCLUDED_
#define _EVS_KEYSPACE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "store/store.h"


typedef struct evs_keyspace_s  evs_keyspace_t;

/* a member of the object; a list is a pointer to the first, NULL at first */
struct evs_keyspace_s {
    evs_keyspace_t          *next;
    evs_redis_node_t        *node;
    const evs_store_conf_t  *conf;    /* of those that have this prefix, the
                                         first, or the room's choice */
};


/* The object that has a keyspace as its member of the name link. */
#define evs_keyspace_data(keyspace, type, link)                               \
    ((type *) ((u_char *) (keyspace) - offsetof(type, link)))


/* The first of a list, or of the rest of one, that conf names; or NULL. */
evs_keyspace_t *evs_keyspace_find(evs_keyspace_t *list,
    const evs_store_conf_t *conf, evs_redis_node_t *node);

/* Puts a new one in. */
void evs_keyspace_add(evs_keyspace_t **list, evs_keyspace_t *keyspace,
    const evs_store_conf_t *conf, evs_redis_node_t *node);

/* Takes one out; NULL: there are none any more. */
evs_keyspace_t *evs_keyspace_take(evs_keyspace_t **list);


#endif /* _EVS_KEYSPACE_H_INCLUDED_ */
