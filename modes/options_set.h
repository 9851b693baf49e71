/* SPDX-License-Identifier: MIT */
/* What the rows of the table in options.c do with their values; private to it.
 * Each takes a struct options (core/opt.h). */
#ifndef MODES_OPTIONS_SET_H
#define MODES_OPTIONS_SET_H

#include "core/opt.h"

opt_set_fn set_listen, set_socks, set_http, set_mixed, add_server, set_host,
	set_sni, add_header, set_proxy, set_proxy_auth, set_proxy_users,
	set_path, set_unix_mode, set_unix_owner, set_token, set_token_file,
	set_tls_cert, set_tls_key, set_tls_ca, set_tls_client_ca, set_tls_min,
	add_tls_pin, set_insecure, set_allow_anonymous, set_allow_origin,
	add_allow, add_deny, set_connections, set_connect_timeout, set_wait,
	set_grace, set_keepalive, set_max_memory, set_retry_all, set_log_level,
	set_verbose, set_quiet, set_log_format, set_announce, set_ready_fd,
	set_ready_file, set_config, set_help;
opt_set_fn set_tokens, set_file, set_backend, set_static, set_proxy_protocol,
	add_trusted, set_workers, set_strangers, set_sandbox, set_user;
opt_clear_fn clear_listen, clear_socks, clear_http, clear_mixed, clear_headers,
	clear_servers, clear_tls_pins, clear_trusted, keep_rules;

#endif
