// SPDX-License-Identifier: MIT
#include "test/bench/load.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
	PING = 64,
	PINGS = 1 << 20, // samples at most
	STALLS = 3,
};

static const char usage[] =
	"load target [--port P] [--reset]\n"
	"load bulk|ping|opens|idle|stall|first\n"
	"  --direct P | --socks P --target P | --http P --target P\n"
	"  --streams N  --up  --bytes N [--limit S] | --seconds S  --timeout "
	"S\n"
	"  --beside N   bulk streams beside the pings\n"
	"  --late       the pings' stream is opened when they flow, not "
	"before\n"
	"load duplex --direct P | --socks P --target P --streams N --bytes N\n"
	"  --once\n";

static double cpu(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
	       (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) * 1e-6;
}

static void print_bulk(const struct bulk *b, uint64_t bytes, double seconds)
{
	int unfinished = b->n - b->full;

	for (int i = 0; i <= FLOW_FAILED; i++)
		unfinished -= b->ended[i];
	printf("{\"bytes\": %llu, \"seconds\": %.6f, \"mbps\": %.3f, "
	       "\"done\": %d, \"no_end\": %d, \"truncated\": %d, "
	       "\"corrupt\": %d, \"failed\": %d, \"unfinished\": %d, "
	       "\"cpu\": %.3f}\n",
	       (unsigned long long)bytes, seconds,
	       (double)bytes / seconds / 1e6, b->ended[FLOW_DONE], b->full,
	       b->ended[FLOW_TRUNCATED], b->ended[FLOW_CORRUPT],
	       b->ended[FLOW_FAILED], unfinished, cpu());
	fflush(stdout);
}

/* MB/s of the first second, and from the middle to the end. */
static void print_course(const struct bulk *b)
{
	int second = (int)(1 / MARK), last = b->nmarks - 1, half = last / 2;

	if (b->nmarks < 2 * second)
		return;
	printf("{\"early\": %.3f, \"steady\": %.3f}\n",
	       (double)b->marks[second - 1] / 1e6,
	       (double)(b->marks[last] - b->marks[half]) /
		       (MARK * (last - half)) / 1e6);
}

static void *bulk_thread(void *p)
{
	bulk_run(p);
	return NULL;
}

static void nap(double seconds)
{
	usleep((useconds_t)(seconds * 1e6));
}

/* What flows have moved in the next seconds. */
static uint64_t window(struct bulk *b, double seconds, double *took)
{
	uint64_t before = b->moved;
	double begin = now();

	nap(seconds);
	*took = now() - begin;
	return b->moved - before;
}

static uint64_t per_stream(const struct task *t)
{
	return t->bytes ? t->bytes / (uint64_t)t->streams : FLOW_ENDLESS;
}

/* All bytes of all streams; or what moves within seconds, when it flows. */
int run_bulk(const struct task *t)
{
	double begin = now(), took;
	struct bulk b;
	pthread_t thread;
	uint64_t moved;

	bulk_open(&b, t, t->streams, per_stream(t));
	if (t->bytes) {
		b.end = t->limit > 0 ? begin + t->limit : 0;
		bulk_run(&b);
		print_bulk(&b, b.moved, b.last - begin);
		if (t->limit > 0)
			print_course(&b);
		bulk_close(&b);
		return 0;
	}
	if (pthread_create(&thread, NULL, bulk_thread, &b))
		die("pthread_create");
	nap(t->seconds / 4);
	moved = window(&b, t->seconds, &took);
	b.stop = true;
	pthread_join(thread, NULL);
	print_bulk(&b, moved, took);
	bulk_close(&b);
	return 0;
}

static int compare(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

/* Microseconds of each round trip within seconds; their number. */
static int ping(int fd, double seconds, float *samples)
{
	uint8_t out[PING], in[PING];
	double end = now() + seconds, t = now();
	int n = 0;

	while (t < end && n < PINGS) {
		memset(out, 'a' + n % 16, PING);
		if (!send_all(fd, out, PING) || !recv_all(fd, in, PING) ||
		    memcmp(in, out, PING) != 0)
			return -1;
		double then = now();
		samples[n++] = (float)((then - t) * 1e6);
		t = then;
	}
	return n;
}

int run_ping(const struct task *t)
{
	float *samples = malloc(PINGS * sizeof(*samples));
	struct bulk b;
	pthread_t thread;
	int fd, n = -1;

	if (!samples)
		die("malloc");
	bulk_open(&b, t, t->beside, FLOW_ENDLESS);
	fd = t->late ? -1 : way_open(t);
	if (pthread_create(&thread, NULL, bulk_thread, &b))
		die("pthread_create");
	if (t->late) {
		nap(0.3);
		fd = way_open(t);
	}
	if (fd >= 0) { // warm, and bulk at its speed
		nap(t->beside ? 0.3 : 0.05);
		n = ping(fd, 0.1, samples);
	}
	uint64_t before = b.moved;
	double begin = now();
	if (n >= 0)
		n = ping(fd, t->seconds, samples);
	double took = now() - begin,
	       mbps = (double)(b.moved - before) / took / 1e6;
	int lost = b.ended[FLOW_FAILED] + b.ended[FLOW_CORRUPT] +
		   b.ended[FLOW_TRUNCATED];
	if (n <= 0) {
		printf("{\"failed\": 1}\n");
	} else {
		qsort(samples, (size_t)n, sizeof(*samples), compare);
		printf("{\"pings\": %d, \"p50\": %.1f, \"p99\": %.1f, "
		       "\"max\": %.1f, \"mbps\": %.3f, \"failed\": %d}\n",
		       n, samples[n / 2], samples[n * 99LL / 100],
		       samples[n - 1], mbps, lost);
	}
	fflush(stdout);
	_exit(0); // nobody waits for the flows
}

struct opener {
	pthread_t thread;
	const struct task *task;
	double end;
	int good, failed;
};

static void *open_and_close(void *p)
{
	struct opener *o = p;

	while (now() < o->end) {
		uint8_t x = 'x';
		int fd = way_open(o->task);
		bool good = fd >= 0 && send_all(fd, &x, 1) &&
			    recv_all(fd, &x, 1) && x == 'x';
		o->good += good;
		o->failed += !good;
		if (fd >= 0)
			close(fd);
	}
	return NULL;
}

/* streams threads, each: open, a byte there and back, close. */
int run_opens(const struct task *t)
{
	struct opener *o = calloc((size_t)t->streams, sizeof(*o));
	double begin = now(), took;
	int good = 0, failed = 0;

	if (!o)
		die("calloc");
	for (int i = 0; i < t->streams; i++) {
		o[i].task = t;
		o[i].end = begin + t->seconds;
		if (pthread_create(&o[i].thread, NULL, open_and_close, &o[i]))
			die("pthread_create");
	}
	for (int i = 0; i < t->streams; i++) {
		pthread_join(o[i].thread, NULL);
		good += o[i].good;
		failed += o[i].failed;
	}
	took = now() - begin;
	printf("{\"opens\": %d, \"failed\": %d, \"seconds\": %.4f, "
	       "\"rate\": %.1f, \"cpu\": %.3f}\n",
	       good, failed, took, good / took, cpu());
	free(o);
	return 0;
}

static bool echo(int fd)
{
	uint8_t out[PING] = "idle", in[PING];

	return send_all(fd, out, PING) && recv_all(fd, in, PING) &&
	       !memcmp(in, out, PING);
}

/* Streams that have moved bytes, held until a line comes, and then asked to
 * move some more. */
int run_idle(const struct task *t)
{
	int *fds = calloc((size_t)t->streams, sizeof(*fds));
	int good = 0, again = 0;

	if (!fds)
		die("calloc");
	for (int i = 0; i < t->streams && i - good < 10; i++) {
		fds[good] = way_open(t);
		if (fds[good] >= 0 && echo(fds[good]))
			good++;
	}
	printf("{\"held\": %d, \"failed\": %d}\n", good, t->streams - good);
	fflush(stdout);
	getchar();
	for (int i = 0; i < good; i++)
		again += echo(fds[i]);
	printf("{\"alive\": %d}\n", again);
	free(fds);
	return 0;
}

/* How the others, streams of them, do without a reader that does not read and
 * beside one; by turns, so that what drifts meets both. The last one stays
 * until a line comes. */
int run_stall(const struct task *t)
{
	struct task one = *t;
	struct bulk b, stalled;
	double rate[2] = {0, 0}, took;
	int lost = 0;
	pthread_t thread;

	one.up = false;
	bulk_open(&b, t, t->streams, FLOW_ENDLESS);
	if (pthread_create(&thread, NULL, bulk_thread, &b))
		die("pthread_create");
	nap(1);
	for (int i = 0; i < STALLS; i++) {
		uint64_t n = window(&b, t->seconds, &took);
		rate[0] += (double)n / took / 1e6 / STALLS;
		bulk_open(&stalled, &one, 1, FLOW_ENDLESS);
		nap(0.5);
		n = window(&b, t->seconds, &took);
		rate[1] += (double)n / took / 1e6 / STALLS;
		lost += stalled.ended[FLOW_FAILED];
		if (i < STALLS - 1) {
			bulk_close(&stalled);
			nap(0.2);
		}
	}
	printf("{\"before\": %.3f, \"after\": %.3f, \"failed\": %d}\n", rate[0],
	       rate[1],
	       lost + b.ended[FLOW_FAILED] + b.ended[FLOW_CORRUPT] +
		       b.ended[FLOW_TRUNCATED]);
	fflush(stdout);
	getchar();
	_exit(0);
}

/* Milliseconds: data along with the request; and open, then an echo. */
int run_first(const struct task *t)
{
	double begin = now(), first = begin, opened = -1, echoed = -1;
	int fd = way_early(t, &first);

	if (!t->http) {
		double again = now();
		int other = way_open(t);
		opened = (now() - again) * 1e3;
		if (other >= 0 && echo(other))
			echoed = (now() - again) * 1e3;
	}
	printf("{\"early_ms\": %.2f, \"open_ms\": %.2f, \"echo_ms\": %.2f}\n",
	       fd >= 0 ? (first - begin) * 1e3 : -1, opened, echoed);
	return 0;
}

static int words(struct task *t, char **word)
{
	for (; *word; word++) {
		bool *flag = !strcmp(*word, "--up")      ? &t->up
			     : !strcmp(*word, "--late")  ? &t->late
			     : !strcmp(*word, "--once")  ? &t->once
			     : !strcmp(*word, "--reset") ? &t->reset
							 : NULL;
		if (flag) {
			*flag = true;
			continue;
		}
		const char *name = *word, *value = *++word;
		if (!value)
			return -1;
		if (!strcmp(name, "--direct"))
			t->direct = atoi(value);
		else if (!strcmp(name, "--socks"))
			t->socks = atoi(value);
		else if (!strcmp(name, "--http"))
			t->http = atoi(value);
		else if (!strcmp(name, "--target") || !strcmp(name, "--port"))
			t->target = atoi(value);
		else if (!strcmp(name, "--streams"))
			t->streams = atoi(value);
		else if (!strcmp(name, "--beside"))
			t->beside = atoi(value);
		else if (!strcmp(name, "--bytes"))
			t->bytes = strtoull(value, NULL, 10);
		else if (!strcmp(name, "--seconds"))
			t->seconds = atof(value);
		else if (!strcmp(name, "--limit"))
			t->limit = atof(value);
		else if (!strcmp(name, "--timeout"))
			t->timeout = atof(value);
		else
			return -1;
	}
	return t->streams > 0 ? 0 : -1;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(const struct task *t);
	} commands[] = {{"bulk", run_bulk},    {"ping", run_ping},
			{"opens", run_opens},  {"idle", run_idle},
			{"stall", run_stall},  {"first", run_first},
			{"duplex", run_duplex}};
	struct task t = {.streams = 1, .seconds = 1, .timeout = 10};

	signal(SIGPIPE, SIG_IGN);
	more_files();
	if (argc < 2 || words(&t, argv + 2)) {
		fputs(usage, stderr);
		return 2;
	}
	if (!strcmp(argv[1], "target"))
		return target(t.target, t.reset);
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(&t);
	fputs(usage, stderr);
	return 2;
}
