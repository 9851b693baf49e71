/* SPDX-License-Identifier: MIT */
/* Which proxy leads to a server: --proxy, or the variables that curl reads. */
#ifndef MODES_PROXY_H
#define MODES_PROXY_H

struct options;

/* Settle the proxy of each server: that of --proxy, or from the environment
 * http_proxy for ws, https_proxy or HTTPS_PROXY for wss, then all_proxy or
 * ALL_PROXY; no_proxy or NO_PROXY lists what is reached directly, and so is a
 * server on this machine. 0, or the exit code after an error has been printed.
 */
int proxy_choose(struct options *o);
/* Wipe passwords from these variables; they count as empty then. */
void proxy_forget(void);

#endif
