
/*
 * The body of POST /event (contract, section 5): one record of the event log,
 * by the rules and sentences of event/fields.
 *
 *     entry.fields.pool = pool;
 *
 *     rc = evs_log_entry_parse(&entry, text, len, names, data_max);
 *
 * It returns what evs_fields_parse() does.  entry.record is what was read when
 * there are no faults, without its id and its time.
 */


#ifndef _EVS_LOG_ENTRY_H_INCLUDED_
#define _EVS_LOG_ENTRY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "event/fields.h"
#include "event/record.h"


/* characters */
#define EVS_LOG_EMAIL_MAX        254
#define EVS_LOG_ENVIRONMENT_MAX  100
#define EVS_LOG_COMPONENT_MAX    100
#define EVS_LOG_MESSAGE_MAX      1000


/* in the order in which they are shown */
typedef enum {
    EVS_LOG_ENTRY_WHOLE = EVS_FIELDS_WHOLE,
    EVS_LOG_ENTRY_EMAIL,
    EVS_LOG_ENTRY_ENVIRONMENT,
    EVS_LOG_ENTRY_COMPONENT,
    EVS_LOG_ENTRY_MESSAGE,
    EVS_LOG_ENTRY_DATA,
    EVS_LOG_ENTRY_FIELDS
} evs_log_entry_field_e;


typedef struct {
    evs_fields_t       fields;     /* its pool is set by the caller */
    evs_record_t       record;
} evs_log_entry_t;


/* data_max in bytes */
ngx_int_t evs_log_entry_parse(evs_log_entry_t *entry, u_char *text, size_t len,
    evs_json_names_t *names, size_t data_max);


#endif /* _EVS_LOG_ENTRY_H_INCLUDED_ */
