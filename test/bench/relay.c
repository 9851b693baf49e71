// SPDX-License-Identifier: MIT
/* relay PORT DIAL [MS]: the bare relay. Accept, dial, copy: 256 KiB blocking
 * reads and writes, a thread for each direction. It prints its port.
 *
 * With MS it is a long way instead: every byte, and the connection itself, is
 * held for MS milliseconds in each direction; how many bytes pass in a second
 * is not limited. At most 1 GiB is held for each direction. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test/bench/flow.h"

enum { CHUNK = 256 << 10, SMALL = 16 << 10, SPARE = 256, LIMIT = 1 << 30 };

struct pair {
	int fd[2];
	atomic_int users; // threads; the last one closes
};

/* A piece on a long way. */
struct piece {
	struct piece *next;
	double due;
	size_t n; // 0: the end
	uint8_t *data;
};

struct direction {
	struct pair *pair;
	int from, to;
	pthread_mutex_t lock;
	pthread_cond_t turn;
	struct piece *first, **last;
	size_t held;
	bool broken;
	atomic_int users;
};

static int dial_port;
static double hold;

static bool write_all(int fd, const uint8_t *p, size_t n)
{
	while (n) {
		ssize_t k = send(fd, p, n, MSG_NOSIGNAL);
		if (k <= 0)
			return false;
		p += k;
		n -= (size_t)k;
	}
	return true;
}

static void pair_break(struct pair *p)
{
	shutdown(p->fd[0], SHUT_RDWR);
	shutdown(p->fd[1], SHUT_RDWR);
}

static void pair_put(struct pair *p)
{
	if (atomic_fetch_sub(&p->users, 1) > 1)
		return;
	close(p->fd[0]);
	close(p->fd[1]);
	free(p);
}

static void start(void *(*run)(void *), void *p)
{
	pthread_attr_t a;
	pthread_t t;

	pthread_attr_init(&a);
	pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&a, 64 << 10);
	if (pthread_create(&t, &a, run, p))
		die("pthread_create");
	pthread_attr_destroy(&a);
}

static void copy(struct pair *p, int from, int to)
{
	uint8_t *data = malloc(CHUNK); // not on the stack: it would be probed
	ssize_t n;

	if (!data)
		die("malloc");
	while ((n = recv(from, data, CHUNK, 0)) > 0 &&
	       write_all(to, data, (size_t)n))
		;
	if (n == 0)
		shutdown(to, SHUT_WR);
	else
		pair_break(p);
	free(data);
	pair_put(p);
}

static void *copy_there(void *p)
{
	struct pair *pair = p;

	copy(pair, pair->fd[0], pair->fd[1]);
	return NULL;
}

/* The other direction is the thread that has dialled. */
static void *serve(void *p)
{
	struct pair *pair = p;

	pair->fd[1] = dial(dial_port, false);
	if (pair->fd[1] < 0) {
		close(pair->fd[0]);
		free(pair);
		return NULL;
	}
	atomic_store(&pair->users, 2);
	start(copy_there, pair);
	copy(pair, pair->fd[1], pair->fd[0]);
	return NULL;
}

/* Pieces that bulk is read into are used again: the memory is warm then. */
static struct {
	pthread_mutex_t lock;
	int n;
	uint8_t *spare[SPARE];
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

static uint8_t *chunk_get(void)
{
	uint8_t *p = NULL;

	pthread_mutex_lock(&pool.lock);
	if (pool.n)
		p = pool.spare[--pool.n];
	pthread_mutex_unlock(&pool.lock);
	if (!p && !(p = malloc(CHUNK)))
		die("malloc");
	return p;
}

static void chunk_put(uint8_t *p)
{
	pthread_mutex_lock(&pool.lock);
	if (pool.n < SPARE) {
		pool.spare[pool.n++] = p;
		p = NULL;
	}
	pthread_mutex_unlock(&pool.lock);
	free(p);
}

/* Takes what p has; the end if n is 0. False if nobody writes any more. */
static bool held_push(struct direction *d, uint8_t **data, size_t n)
{
	struct piece *piece = calloc(1, sizeof(*piece));
	bool good;

	if (!piece)
		die("calloc");
	piece->due = now() + hold;
	piece->n = n;
	if (n > SMALL) {
		piece->data = *data;
		*data = chunk_get();
	} else if (n) {
		piece->data = malloc(n);
		if (!piece->data)
			die("malloc");
		memcpy(piece->data, *data, n);
	}
	pthread_mutex_lock(&d->lock);
	while (d->held > LIMIT && !d->broken)
		pthread_cond_wait(&d->turn, &d->lock);
	*d->last = piece;
	d->last = &piece->next;
	d->held += n;
	good = !d->broken;
	pthread_cond_broadcast(&d->turn);
	pthread_mutex_unlock(&d->lock);
	return good;
}

static struct piece *held_pop(struct direction *d)
{
	struct piece *p;

	pthread_mutex_lock(&d->lock);
	while (!d->first)
		pthread_cond_wait(&d->turn, &d->lock);
	p = d->first;
	d->first = p->next;
	if (!d->first)
		d->last = &d->first;
	d->held -= p->n;
	pthread_cond_broadcast(&d->turn);
	pthread_mutex_unlock(&d->lock);
	return p;
}

static void piece_free(struct piece *p)
{
	if (p->n > SMALL)
		chunk_put(p->data);
	else
		free(p->data);
	free(p);
}

static void direction_put(struct direction *d)
{
	if (atomic_fetch_sub(&d->users, 1) > 1)
		return;
	while (d->first) {
		struct piece *p = d->first;
		d->first = p->next;
		piece_free(p);
	}
	pair_put(d->pair);
	free(d);
}

static void *hold_read(void *p)
{
	struct direction *d = p;
	uint8_t *data = chunk_get();
	ssize_t n;

	while ((n = recv(d->from, data, CHUNK, 0)) > 0 &&
	       held_push(d, &data, (size_t)n))
		;
	held_push(d, &data, 0);
	chunk_put(data);
	direction_put(d);
	return NULL;
}

static void *hold_write(void *p)
{
	struct direction *d = p;
	bool end = false;

	while (!end) {
		struct piece *piece = held_pop(d);
		double wait = piece->due - now();
		end = piece->n == 0;
		if (wait > 0)
			usleep((useconds_t)(wait * 1e6));
		if (end)
			shutdown(d->to, SHUT_WR);
		else if (!write_all(d->to, piece->data, piece->n))
			end = true;
		piece_free(piece);
	}
	pthread_mutex_lock(&d->lock);
	d->broken = true;
	pthread_cond_broadcast(&d->turn);
	pthread_mutex_unlock(&d->lock);
	shutdown(d->from, SHUT_RD);
	direction_put(d);
	return NULL;
}

static void hold_start(struct pair *pair, int from, int to)
{
	struct direction *d = calloc(1, sizeof(*d));

	if (!d)
		die("calloc");
	d->pair = pair;
	d->from = from;
	d->to = to;
	d->last = &d->first;
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->turn, NULL);
	atomic_store(&d->users, 2);
	start(hold_read, d);
	start(hold_write, d);
}

/* A connection takes a round trip before its first byte may leave. */
static void *serve_long(void *p)
{
	struct pair *pair = p;

	usleep((useconds_t)(2 * hold * 1e6));
	pair->fd[1] = dial(dial_port, false);
	if (pair->fd[1] < 0) {
		close(pair->fd[0]);
		free(pair);
		return NULL;
	}
	atomic_store(&pair->users, 2);
	hold_start(pair, pair->fd[0], pair->fd[1]);
	hold_start(pair, pair->fd[1], pair->fd[0]);
	return NULL;
}

int main(int argc, char **argv)
{
	int listener;

	if (argc < 3) {
		fputs("relay PORT DIAL [MS]\n", stderr);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	more_files();
	listener = listen_on(atoi(argv[1]));
	dial_port = atoi(argv[2]);
	hold = argc > 3 ? atof(argv[3]) / 1e3 : 0;
	printf("%d\n", port_of(listener));
	fflush(stdout);
	for (;;) {
		struct pair *p = calloc(1, sizeof(*p));
		if (!p)
			die("calloc");
		p->fd[0] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (p->fd[0] < 0) {
			free(p);
			continue;
		}
		no_delay(p->fd[0]);
		start(hold > 0 ? serve_long : serve, p);
	}
}
