// SPDX-License-Identifier: MIT
/* hostile DIAL [FAULT=VALUE...]: a relay on loopback that does to connections
 * what networks do. It prints its port; then "accept SECONDS" (monotonic) for
 * each connection that comes. A line on stdin has more faults, for all
 * connections from now on, and is answered with "ok CONNECTIONS"; the word now
 * in it ends all that there are by how.
 *
 *	delay=MS    every byte is held so long, in each direction
 *	jitter=MS   a connection is held for 0 to MS: whole ones are reordered
 *	chunk=N     at most N bytes in one write
 *	rate=N      bytes a second, in each direction
 *	cut=N       how, once N bytes have passed in a direction; 0: never
 *	how=reset   both sides get a reset
 *	   =fin     both sides get an end, whatever is missing
 *	   =half    the receiver gets an end, the other direction goes on
 *	   =stall   nothing passes any more, and nobody is told
 *	stall=none, up, down, both: nothing passes there, on all connections
 *	refuse=1    a connection that comes is closed at once
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test/bench/flow.h"

enum {
	EVENTS = 256,
	PIECE = 64 << 10,
	HELD = 256 << 10,         // in each direction
	HELD_DELAYED = 256 << 20, // the same, if they are held for a time
	LINE = 512,
	WAIT_MS = 1000,
};

enum how { RESET, FIN, HALF, STALL };

struct faults {
	double delay, jitter, rate; // seconds, bytes a second
	size_t chunk, cut;
	enum how how;
	int stall; // 1: up, 2: down
	int refuse;
};

struct piece {
	struct piece *next;
	double due;
	size_t at, n;
	uint8_t data[];
};

/* A direction; 0 is up. */
struct way {
	int from, to;
	bool readable, writable;
	bool eof;   // nothing more to read
	bool ended; // and that has been passed on
	bool mute;  // what comes is thrown away
	struct piece *first, **last;
	size_t held, passed;
	double tokens, filled;
};

struct link {
	struct link *next;
	struct way way[2];
	int fd[2];
	double due; // it is dialled then; fd[1] is -1 until
	bool stalled;
	bool dead;
};

static struct faults faults;
static struct link *links;
static int set, dial_port;

static void watch(int fd, void *p)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP |
					  EPOLLET,
				.data.ptr = p};

	if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &e))
		die("epoll_ctl");
}

static void small_buffers(int fd)
{
	if (faults.rate <= 0)
		return;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){PIECE}, sizeof(int));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){PIECE}, sizeof(int));
}

/* Life and death. */

static void link_new(int fd)
{
	struct link *l = calloc(1, sizeof(*l));

	if (!l)
		die("calloc");
	l->fd[0] = fd;
	l->fd[1] = -1;
	l->due = now() + faults.jitter * (double)rand() / RAND_MAX;
	l->next = links;
	links = l;
}

static void link_dial(struct link *l)
{
	l->fd[1] = dial(dial_port, false);
	if (l->fd[1] < 0) {
		l->dead = true;
		return;
	}
	for (int i = 0; i < 2; i++) {
		struct way *w = &l->way[i];
		w->from = l->fd[i];
		w->to = l->fd[!i];
		w->last = &w->first;
		w->filled = now();
		no_delay(l->fd[i]);
		non_blocking(l->fd[i], true);
		small_buffers(l->fd[i]);
		watch(l->fd[i], l);
	}
}

static void link_reset(struct link *l)
{
	struct linger hard = {.l_onoff = 1};

	for (int i = 0; i < 2; i++)
		if (l->fd[i] >= 0)
			setsockopt(l->fd[i], SOL_SOCKET, SO_LINGER, &hard,
				   sizeof(hard));
	l->dead = true;
}

static void way_clear(struct way *w)
{
	struct piece *p;

	while ((p = w->first)) {
		w->first = p->next;
		free(p);
	}
	w->last = &w->first;
	w->held = 0;
}

static void link_free(struct link *l)
{
	for (int i = 0; i < 2; i++) {
		way_clear(&l->way[i]);
		if (l->fd[i] >= 0)
			close(l->fd[i]);
	}
	free(l);
}

/* The receiver of w gets an end now. */
static void way_cut(struct way *w)
{
	way_clear(w);
	w->mute = true;
	if (!w->ended)
		shutdown(w->to, SHUT_WR);
	w->ended = true;
}

/* What is to happen to l, in direction i. */
static void link_cut(struct link *l, int i)
{
	switch (faults.how) {
	case RESET:
		link_reset(l);
		break;
	case FIN:
		way_cut(&l->way[0]);
		way_cut(&l->way[1]);
		break;
	case HALF:
		way_cut(&l->way[i]);
		break;
	case STALL:
		l->stalled = true;
		break;
	}
}

/* Moving. */

static void way_keep(struct way *w, const uint8_t *data, size_t n)
{
	struct piece *p = malloc(sizeof(*p) + n);

	if (!p)
		die("malloc");
	*p = (struct piece){.due = now() + faults.delay, .n = n};
	memcpy(p->data, data, n);
	*w->last = p;
	w->last = &p->next;
	w->held += n;
}

/* False: there was nothing to read. */
static bool way_read(struct link *l, struct way *w)
{
	static uint8_t data[PIECE];
	size_t most = faults.rate > 0    ? PIECE
		      : faults.delay > 0 ? HELD_DELAYED
					 : HELD;
	ssize_t n;

	if (!w->readable || w->eof || w->held >= most)
		return false;
	n = recv(w->from, data, sizeof(data), 0);
	if (n < 0 && errno == EAGAIN) {
		w->readable = false;
		return false;
	}
	if (n < 0)
		link_reset(l);
	else if (n == 0)
		w->eof = true;
	else if (!w->mute)
		way_keep(w, data, (size_t)n);
	return true;
}

/* How much may leave now. */
static size_t way_room(struct way *w, const struct piece *p, double t)
{
	size_t n = p->n - p->at;

	if (faults.chunk && n > faults.chunk)
		n = faults.chunk;
	if (faults.cut && n > faults.cut - w->passed)
		n = faults.cut - w->passed;
	if (faults.rate <= 0)
		return n;
	w->tokens += (t - w->filled) * faults.rate;
	if (w->tokens > PIECE)
		w->tokens = PIECE;
	w->filled = t;
	return w->tokens < (double)n ? (size_t)w->tokens : n;
}

/* False: nothing could be written. */
static bool way_write(struct link *l, struct way *w, double t)
{
	struct piece *p = w->first;
	size_t room = p && w->writable && p->due <= t ? way_room(w, p, t) : 0;
	ssize_t n;

	if (!room)
		return false;
	n = send(w->to, p->data + p->at, room, MSG_NOSIGNAL);
	if (n < 0 && errno == EAGAIN) {
		w->writable = false;
		return false;
	}
	if (n < 0) {
		link_reset(l);
		return true;
	}
	w->passed += (size_t)n;
	w->held -= (size_t)n;
	w->tokens -= (double)n;
	p->at += (size_t)n;
	if (p->at == p->n) {
		w->first = p->next;
		if (!w->first)
			w->last = &w->first;
		free(p);
	}
	if (faults.cut && w->passed >= faults.cut)
		link_cut(l, w != &l->way[0]);
	return true;
}

static void way_end(struct way *w)
{
	if (!w->eof || w->first || w->ended)
		return;
	shutdown(w->to, SHUT_WR);
	w->ended = true;
}

/* Whether more could be done at once; *due: when else. */
static bool link_move(struct link *l, double t, double *due)
{
	bool more = false;

	if (l->fd[1] < 0) {
		if (l->due <= t)
			link_dial(l);
		else if (l->due < *due)
			*due = l->due;
	}
	for (int i = 0; i < 2 && !l->dead && !l->stalled && l->fd[1] >= 0;
	     i++) {
		struct way *w = &l->way[i];
		if (faults.stall & (1 << i))
			continue;
		more |= way_read(l, w);
		if (!l->dead && !l->stalled)
			more |= way_write(l, w, t);
		way_end(w);
		if (w->first && w->writable && w->first->due > t &&
		    w->first->due < *due)
			*due = w->first->due;
		if (w->first && faults.rate > 0 && t + 0.01 < *due)
			*due = t + 0.01;
	}
	if (l->fd[1] >= 0 && l->way[0].eof && l->way[1].eof &&
	    l->way[0].ended && l->way[1].ended)
		l->dead = true;
	return more && !l->dead;
}

/* Milliseconds until there is something to do. */
static int move_all(void)
{
	double t = now(), due = t + WAIT_MS / 1e3;
	struct link **at = &links, *l;
	bool more = false;

	while ((l = *at)) {
		more |= link_move(l, t, &due);
		if (l->dead) {
			*at = l->next;
			link_free(l);
		} else {
			at = &l->next;
		}
	}
	if (more && faults.chunk) /* whoever reads gets the processor */
		usleep(1);
	return more ? 0 : (int)((due - t) * 1e3) + 1;
}

/* What is said to it. */

static int word_of(const char *text, const char *const *words)
{
	for (int i = 0; words[i]; i++)
		if (!strcmp(text, words[i]))
			return i;
	fprintf(stderr, "hostile: what is %s?\n", text);
	exit(2);
}

static void cut_all(void)
{
	for (struct link *l = links; l; l = l->next)
		if (l->fd[1] >= 0)
			link_cut(l, rand() & 1);
		else
			l->dead = true;
}

static void apply(const char *word)
{
	static const char *const names[] = {
		"delay", "jitter", "chunk",  "rate", "cut",
		"how",   "stall",  "refuse", "now",  NULL};
	static const char *const hows[] = {"reset", "fin", "half", "stall",
					   NULL};
	static const char *const stalls[] = {"none", "up", "down", "both",
					     NULL};
	char name[16];
	const char *value = strchr(word, '=');

	snprintf(name, sizeof(name), "%.*s",
		 (int)(value ? (size_t)(value - word) : strlen(word)), word);
	value = value ? value + 1 : "";
	switch (word_of(name, names)) {
	case 0:
		faults.delay = atof(value) / 1e3;
		break;
	case 1:
		faults.jitter = atof(value) / 1e3;
		break;
	case 2:
		faults.chunk = strtoull(value, NULL, 10);
		break;
	case 3:
		faults.rate = atof(value);
		break;
	case 4:
		faults.cut = strtoull(value, NULL, 10);
		break;
	case 5:
		faults.how = (enum how)word_of(value, hows);
		break;
	case 6:
		faults.stall = word_of(value, stalls);
		break;
	case 7:
		faults.refuse = atoi(value);
		break;
	case 8:
		cut_all();
		break;
	}
}

static void on_line(char *line)
{
	int n = 0;

	for (char *w = strtok(line, " \n"); w; w = strtok(NULL, " \n"))
		apply(w);
	for (struct link *l = links; l; l = l->next)
		n += !l->dead;
	printf("ok %d\n", n);
}

/* False at its end. */
static bool on_stdin(void)
{
	char text[LINE];
	ssize_t n = read(STDIN_FILENO, text, sizeof(text) - 1);
	char *at = text, *end;

	if (n <= 0)
		return false;
	text[n] = 0;
	while ((end = strchr(at, '\n'))) {
		*end = 0;
		on_line(at);
		at = end + 1;
	}
	return true;
}

static void on_accept(int listener)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		printf("accept %.6f\n", now());
		if (faults.refuse)
			close(fd);
		else
			link_new(fd);
	}
}

static void on_event(struct link *l, const struct epoll_event *e)
{
	/* which of the two it was does not matter: the other says EAGAIN */
	bool in = e->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR);
	bool out = e->events & (EPOLLOUT | EPOLLHUP | EPOLLERR);

	for (int i = 0; i < 2; i++) {
		l->way[i].readable |= in;
		l->way[i].writable |= out;
	}
}

int main(int argc, char **argv)
{
	struct epoll_event e[EVENTS], in = {.events = EPOLLIN};
	int listener, wait = WAIT_MS;
	static int mark;

	if (argc < 2) {
		fputs("hostile DIAL [FAULT=VALUE...]\n", stderr);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	more_files();
	setvbuf(stdout, NULL, _IOLBF, 0);
	dial_port = atoi(argv[1]);
	for (int i = 2; i < argc; i++)
		apply(argv[i]);
	set = epoll_create1(EPOLL_CLOEXEC);
	listener = listen_on(0);
	non_blocking(listener, true);
	in.data.ptr = &mark;
	if (set < 0 || epoll_ctl(set, EPOLL_CTL_ADD, STDIN_FILENO, &in))
		die("epoll");
	watch(listener, NULL);
	printf("%d\n", port_of(listener));
	for (;;) {
		int n = epoll_wait(set, e, EVENTS, wait);
		bool lines = false;
		for (int i = 0; i < n; i++) {
			if (!e[i].data.ptr)
				on_accept(listener);
			else if (e[i].data.ptr == &mark)
				lines = true;
			else
				on_event(e[i].data.ptr, &e[i]);
		}
		if (lines && !on_stdin())
			return 0;
		wait = move_all();
	}
}
