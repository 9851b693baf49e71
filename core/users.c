/* SPDX-License-Identifier: MIT */
#include "core/users.h"

#include <crypt.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include <mbedtls/md.h>
#include <uv.h>

#include "core/threads.h"
#include "core/worker.h"
#include "proto/container.h"
#include "proto/htpasswd.h"
#include "proto/token.h"

#define KNOWN_MS (5 * 60 * 1000) /* so long a right pair is known */
#define DIGEST   32

struct user {
	char *name;
	char *hash; /* NULL: known is for ever */
	unsigned int line;
	bool is_known; /* and the pair is */
	uint8_t known[DIGEST];
	struct deadline forget;
};

struct users {
	struct worker *worker;
	uint8_t key[DIGEST];
	struct user *list; /* sorted by name */
	size_t count, room;
	struct users_job *jobs;
	unsigned int njobs; /* those that nobody waits for too */
	unsigned int tried; /* bits: schemes that crypt(3) knows */
};

/* A hash that is computed. What the thread touches is its own. */
struct users_job {
	struct users_job *next, *prev;
	struct users *users;
	struct user *user; /* NULL: none of this name, or no longer */
	bool exists;       /* there was one, for the thread */
	bool old;          /* of a file that has been read again since */
	struct users_check *asking;
	uint8_t digest[DIGEST]; /* of the pair */
	uv_work_t work;
	char password[USERS_TEXT_MAX + 1];
	char hash[HTPASSWD_HASH_MAX + 1];
	enum reason why;
	struct crypt_data data;
};

/* The list. */

static int by_name(const void *a, const void *b)
{
	const struct user *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : (x->line > y->line) - (x->line < y->line);
}

static struct user *find(const struct users *u, const char *name)
{
	size_t from = 0, to = u->count;

	while (from < to) {
		size_t at = from + (to - from) / 2;
		int order = strcmp(name, u->list[at].name);

		if (order == 0)
			return &u->list[at];
		if (order < 0)
			to = at;
		else
			from = at + 1;
	}
	return NULL;
}

static bool add(struct users *u, const char *name, const char *hash,
		unsigned int line)
{
	size_t room = u->room ? 2 * u->room : 16;
	struct user *to;

	if (u->count == u->room) {
		to = realloc(u->list, room * sizeof(*to));
		if (!to)
			return false;
		u->list = to;
		u->room = room;
	}
	to = &u->list[u->count++];
	*to = (struct user){.name = strdup(name), .line = line};
	to->hash = hash ? strdup(hash) : NULL;
	return to->name && (to->hash || !hash);
}

static struct users *users_new(struct worker *w)
{
	struct users *u = calloc(1, sizeof(*u));

	if (!u)
		return NULL;
	u->worker = w;
	if (worker_random(w, u->key, sizeof(u->key)) == 0)
		return u;
	free(u);
	return NULL;
}

void users_free(struct users *u)
{
	if (!u)
		return;
	for (size_t i = 0; i < u->count; i++) {
		deadline_clear(&u->list[i].forget);
		free(u->list[i].name);
		free(u->list[i].hash);
	}
	if (u->list)
		explicit_bzero(u->list, u->count * sizeof(*u->list));
	free(u->list);
	explicit_bzero(u, sizeof(*u));
	free(u);
}

size_t users_count(const struct users *u)
{
	return u->count;
}

/* What is kept of a pair. False: no memory, or a text is too long. */
static bool pair_digest(const struct users *u, const char *user,
			const char *password, uint8_t out[DIGEST])
{
	const mbedtls_md_info_t *md =
		mbedtls_md_info_from_type(MBEDTLS_MD_SHA256);
	uint8_t text[1 + 2 * USERS_TEXT_MAX];
	size_t n = strlen(user), m = strlen(password);
	int err;

	if (n > USERS_TEXT_MAX || m > USERS_TEXT_MAX)
		return false;
	text[0] = (uint8_t)n; /* "a" and "bc" are not "ab" and "c" */
	memcpy(text + 1, user, n);
	memcpy(text + 1 + n, password, m);
	err = mbedtls_md_hmac(md, u->key, sizeof(u->key), text, 1 + n + m, out);
	explicit_bzero(text, sizeof(text));
	return err == 0;
}

/* One user. */

struct users *users_of_pair(struct worker *w, const char *pair)
{
	struct users *u = users_new(w);
	const char *colon = strchr(pair, ':');
	char name[USERS_TEXT_MAX + 1];

	if (!u)
		return NULL;
	snprintf(name, sizeof(name), "%.*s", (int)(colon - pair), pair);
	if (!add(u, name, NULL, 0) ||
	    !pair_digest(u, name, colon + 1, u->list[0].known)) {
		users_free(u);
		return NULL;
	}
	u->list[0].is_known = true;
	return u;
}

struct users *users_like(struct worker *w, const struct users *u)
{
	struct users *copy = users_new(w);
	bool good = copy;

	for (size_t i = 0; good && i < u->count; i++) {
		const struct user *from = &u->list[i];

		good = add(copy, from->name, from->hash, from->line);
		if (good && !from->hash) {
			copy->list[i].is_known = true;
			memcpy(copy->list[i].known, from->known, DIGEST);
		}
	}
	if (!good) {
		users_free(copy);
		return NULL;
	}
	memcpy(copy->key, u->key, DIGEST);
	copy->tried = u->tried;
	return copy;
}

/* The file. */

/* Does this machine's crypt(3) know the scheme? musl has no yescrypt. NULL, or
 * what is wrong. */
static const char *try_scheme(struct users *u, enum htpasswd_scheme s)
{
	const char *prefix = htpasswd_prefix(s), *out;
	struct crypt_data *data;

	if (u->tried & 1u << s)
		return NULL;
	data = calloc(1, sizeof(*data));
	if (!data)
		return "out of memory";
	out = crypt_r("", htpasswd_trial(s), data);
	if (out && strncmp(out, prefix, strlen(prefix)) == 0)
		u->tried |= 1u << s;
	free(data);
	return u->tried & 1u << s ? NULL
				  : "the crypt(3) of this machine does not "
				    "know the scheme of this hash";
}

/* NULL, or what is wrong with the line. */
static const char *add_line(struct users *u, const char *p, size_t n,
			    unsigned int line)
{
	struct htpasswd h;
	const char *error = htpasswd_parse(p, n, &h);

	if (error || !h.user[0])
		return error;
	if (u->count == USERS_MAX)
		return "more than 10000 users";
	error = try_scheme(u, h.scheme);
	if (error)
		return error;
	return add(u, h.user, h.hash, line) ? NULL : "out of memory";
}

static bool read_lines(struct users *u, FILE *f, const char *path, char *error,
		       size_t size)
{
	const char *wrong = NULL;
	char *text = NULL;
	size_t room = 0;
	unsigned int line = 0;
	ssize_t n;

	errno = 0;
	while (!wrong && (n = getline(&text, &room, f)) >= 0)
		wrong = add_line(u, text, (size_t)n, ++line);
	if (wrong)
		snprintf(error, size, "%s:%u: %s", path, line, wrong);
	else if (!feof(f))
		snprintf(error, size, "%s: %s", path, strerror(errno));
	free(text);
	return !wrong && feof(f);
}

/* Sorts. False: two lines are for the same user. */
static bool are_different(struct users *u, const char *path, char *error,
			  size_t size)
{
	if (u->count)
		qsort(u->list, u->count, sizeof(*u->list), by_name);
	for (size_t i = 1; i < u->count; i++) {
		const struct user *a = &u->list[i - 1], *b = &u->list[i];

		if (strcmp(a->name, b->name) == 0) {
			snprintf(error, size,
				 "%s:%u: this user is in line %u already", path,
				 b->line, a->line);
			return false;
		}
	}
	return true;
}

struct users *users_load(struct worker *w, const char *path, char *error,
			 size_t size)
{
	struct users *u = users_new(w);
	FILE *f = fopen(path, "re");
	bool good = false;

	if (!u)
		snprintf(error, size, "out of memory or of randomness");
	else if (!f)
		snprintf(error, size, "%s: %s", path, strerror(errno));
	else
		good = read_lines(u, f, path, error, size) &&
		       are_different(u, path, error, size);
	if (f)
		fclose(f);
	if (good && !u->count)
		snprintf(error, size, "%s: there is no user in it", path);
	else if (good && threads_start(&w->loop))
		snprintf(error, size,
			 "no threads: out of memory, or too many processes");
	else if (good)
		return u;
	users_free(u);
	return NULL;
}

bool users_again(struct users *u, const char *path, char *error, size_t size)
{
	struct users *now = users_load(u->worker, path, error, size);
	struct user *list = u->list;
	size_t count = u->count, room = u->room;
	struct users_job *job;

	if (!now)
		return false;
	DL_FOREACH(u->jobs, job)
	{
		job->user = NULL;
		job->old = true;
	}
	u->list = now->list;
	u->count = now->count;
	u->room = now->room;
	now->list = list;
	now->count = count;
	now->room = room;
	users_free(now);
	return true;
}

/* Known pairs. */

static void on_forget(struct deadline *d)
{
	struct user *user = container_of(d, struct user, forget);

	user->is_known = false;
	explicit_bzero(user->known, DIGEST);
}

static void remember(const struct users_job *job)
{
	struct user *user = job->user;

	memcpy(user->known, job->digest, DIGEST);
	user->is_known = true;
	deadline_set(job->users->worker, &user->forget, KNOWN_MS, on_forget);
}

/* The digest is keyed: the time that memcmp() takes teaches nothing. */
static bool is_known(const struct user *user, const uint8_t digest[DIGEST])
{
	return user->is_known && memcmp(user->known, digest, DIGEST) == 0;
}

/* The user whose hash a name costs that is not in the file. */
static const struct user *stand_in(const struct users *u, const char *name)
{
	uint8_t digest[DIGEST];
	uint32_t n;

	if (!pair_digest(u, name, "", digest))
		return &u->list[0];
	memcpy(&n, digest, sizeof(n));
	return &u->list[n % u->count];
}

/* Jobs. */

/* On a thread. */
static void on_work(uv_work_t *work)
{
	struct users_job *job = container_of(work, struct users_job, work);
	const char *out = crypt_r(job->password, job->hash, &job->data);

	if (!out || *out == '*')
		job->why = REASON_NO_MEMORY;
	else if (job->exists && token_equal(out, job->hash))
		job->why = REASON_DONE;
	else
		job->why = REASON_PROXY_AUTH;
	explicit_bzero(job->password, sizeof(job->password));
	explicit_bzero(&job->data, sizeof(job->data));
}

static void check_unlink(struct users_check *c)
{
	*c->prev = c->next;
	if (c->next)
		c->next->prev = c->prev;
	c->next = NULL;
	c->prev = NULL;
	c->job = NULL;
}

static void job_free(struct users_job *job)
{
	explicit_bzero(job, sizeof(*job));
	free(job);
}

/* Cancelled ones have nobody who asks. */
static void on_worked(uv_work_t *work, int status)
{
	struct users_job *job = container_of(work, struct users_job, work);
	struct users_check *c;

	job->users->njobs--;
	DL_DELETE(job->users->jobs, job);
	if (!status && job->why == REASON_DONE && job->user)
		remember(job);
	while ((c = job->asking)) {
		check_unlink(c);
		c->answer(c, job->why);
	}
	job_free(job);
}

/* One that checks the same pair and has not been given up. */
static struct users_job *job_find(const struct users *u,
				  const uint8_t digest[DIGEST])
{
	struct users_job *job;

	DL_FOREACH(u->jobs, job)
	if (job->asking && !job->old &&
	    memcmp(job->digest, digest, DIGEST) == 0)
		return job;
	return NULL;
}

/* NULL: *why. */
static struct users_job *job_start(struct users *u, const char *name,
				   const char *password,
				   const uint8_t digest[DIGEST],
				   enum reason *why)
{
	struct users_job *job;

	*why = REASON_LIMIT;
	if (u->njobs == USERS_CHECKS_MAX)
		return NULL;
	*why = REASON_NO_MEMORY;
	job = calloc(1, sizeof(*job));
	if (!job)
		return NULL;
	job->users = u;
	job->why = REASON_PROXY_AUTH; /* until it is computed */
	job->user = find(u, name);
	job->exists = job->user != NULL;
	snprintf(job->hash, sizeof(job->hash), "%s",
		 job->user ? job->user->hash : stand_in(u, name)->hash);
	memcpy(job->digest, digest, DIGEST);
	snprintf(job->password, sizeof(job->password), "%s", password);
	if (uv_queue_work(&u->worker->loop, &job->work, on_work, on_worked)) {
		job_free(job);
		return NULL;
	}
	DL_APPEND(u->jobs, job);
	u->njobs++;
	return job;
}

/* Questions. */

bool users_ask(struct users *u, struct users_check *c, const char *user,
	       const char *password,
	       void (*answer)(struct users_check *c, enum reason why),
	       enum reason *why)
{
	uint8_t digest[DIGEST];
	/* a pair is compared with the name, so that its time tells nothing */
	const struct user *found = u->list[0].hash ? find(u, user) : u->list;
	struct users_job *job;

	*why = REASON_PROXY_AUTH;
	if (strlen(user) > USERS_TEXT_MAX || strlen(password) > USERS_TEXT_MAX)
		return true;
	*why = REASON_NO_MEMORY;
	if (!pair_digest(u, user, password, digest))
		return true;
	*why = REASON_DONE;
	if (found && is_known(found, digest))
		return true;
	*why = REASON_PROXY_AUTH;
	if (!u->list[0].hash)
		return true;
	job = job_find(u, digest);
	if (!job)
		job = job_start(u, user, password, digest, why);
	if (!job)
		return true;
	c->job = job;
	c->answer = answer;
	c->next = job->asking;
	c->prev = &job->asking;
	if (c->next)
		c->next->prev = &c->next;
	job->asking = c;
	return false;
}

void users_forget(struct users_check *c)
{
	struct users_job *job = c->job;

	if (!job)
		return;
	check_unlink(c);
	if (!job->asking)
		uv_cancel((uv_req_t *)&job->work); /* if it still waits */
}
