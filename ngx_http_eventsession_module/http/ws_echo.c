
/*
 * eventsession echo; of builds with EVENTSESSION_ECHO: each message is sent
 * back, so that public conformance suites can speak to our frames.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/ws.h"
#include "ngx_http_eventsession_module.h"


#if (EVENTSESSION_ECHO)


static ngx_int_t ngx_http_eventsession_echo_open(
    ngx_http_eventsession_ws_t *ws);
static ngx_int_t ngx_http_eventsession_echo_message(
    ngx_http_eventsession_ws_t *ws, ngx_uint_t opcode, ngx_str_t *payload);
static ngx_uint_t ngx_http_eventsession_echo_no(
    ngx_http_eventsession_ws_t *ws);
static void ngx_http_eventsession_echo_nothing(
    ngx_http_eventsession_ws_t *ws);


static const ngx_http_eventsession_ws_app_t  ngx_http_eventsession_echo = {
    ngx_http_eventsession_echo_open,
    ngx_http_eventsession_echo_message,
    ngx_http_eventsession_echo_no,
    ngx_http_eventsession_echo_no,
    ngx_http_eventsession_echo_nothing,
    ngx_http_eventsession_echo_nothing
};


ngx_int_t
ngx_http_eventsession_echo_handler(ngx_http_request_t *r)
{
    ngx_int_t                          rc;
    ngx_str_t                          key;
    ngx_http_eventsession_loc_conf_t  *elcf;

    elcf = ngx_http_get_module_loc_conf(r, ngx_http_eventsession_module);

    rc = ngx_http_eventsession_ws_handshake(r, elcf->origins, &key);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    return ngx_http_eventsession_ws_upgrade(r, &elcf->ws,
                                            &ngx_http_eventsession_echo,
                                            NULL, &key, NULL);
}


static ngx_int_t
ngx_http_eventsession_echo_open(ngx_http_eventsession_ws_t *ws)
{
    return NGX_OK;
}


static ngx_int_t
ngx_http_eventsession_echo_message(ngx_http_eventsession_ws_t *ws,
    ngx_uint_t opcode, ngx_str_t *payload)
{
    return ngx_http_eventsession_ws_send(ws, opcode, payload->data,
                                         payload->len);
}


static ngx_uint_t
ngx_http_eventsession_echo_no(ngx_http_eventsession_ws_t *ws)
{
    return 0;
}


static void
ngx_http_eventsession_echo_nothing(ngx_http_eventsession_ws_t *ws)
{
}


#endif /* EVENTSESSION_ECHO */
