
/*
 * Lists of what there is once for a keyspace: see keyspace.h.  They are as
 * short as there are Redis servers and prefixes in a configuration.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "store/keyspace.h"


evs_keyspace_t *
evs_keyspace_find(evs_keyspace_t *list, const evs_store_conf_t *conf,
    evs_redis_node_t *node)
{
    evs_keyspace_t  *keyspace;

    for (keyspace = list; keyspace != NULL; keyspace = keyspace->next) {

        if (keyspace->node == node
            && evs_store_same_prefix(keyspace->conf, conf))
        {
            return keyspace;
        }
    }

    return NULL;
}


void
evs_keyspace_add(evs_keyspace_t **list, evs_keyspace_t *keyspace,
    const evs_store_conf_t *conf, evs_redis_node_t *node)
{
    keyspace->node = node;
    keyspace->conf = conf;

    keyspace->next = *list;
    *list = keyspace;
}


evs_keyspace_t *
evs_keyspace_take(evs_keyspace_t **list)
{
    evs_keyspace_t  *keyspace;

    keyspace = *list;

    if (keyspace != NULL) {
        *list = keyspace->next;
    }

    return keyspace;
}
