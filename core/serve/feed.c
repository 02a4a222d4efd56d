/* SPDX-License-Identifier: MIT */
/*
 * An adapter cannot tell that something has happened, so it is asked again and again: each runtime by one job at a time,
 * for all who follow it, so that one that blocks takes one thread of the executor and keeps nobody else waiting. Those
 * who wait at the same cursor get the same answer; as all who have caught up do, they cost one call, however many they
 * are. Who is behind is given the next page as soon as he has taken the last one, and until then nothing is read for him.
 */
#include "config.h"

#include "core/serve/feed.h"

#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/serve/page.h"
#include "core/services.h"
#include "core/text.h"

struct follower {
	struct follower *next, **linkp;
	struct feed *feed;
	struct exchange *exchange; /* whose client waits */
	char cursor[BERTH_CURSOR_MAX + 1];
	struct buffer text; /* of one page */
	size_t n_taken;
	bool more;     /* the next page is there already */
	bool over;     /* there will be none */
	unsigned pass; /* of the feed, in which it was asked for last */
};

/* A runtime that somebody follows. */
struct feed {
	struct job job;
	struct feeds *feeds;
	struct feed *next;
	struct follower *first;
	bool running; /* or queued */
	bool ticked;  /* it is time to ask for all, and not only for those who are behind */
	unsigned pass;
	char runtime_id[BERTH_ID_MAX + 1];
};

static void run_feed(struct job *job);

/* ---- All of these hold the lock. ---- */

static struct feed *find_feed(struct feeds *feeds, struct berth_text runtime_id)
{
	struct feed *feed = feeds->first;

	while (feed && !text_is(runtime_id, feed->runtime_id))
		feed = feed->next;
	if (feed || runtime_id.len > BERTH_ID_MAX)
		return feed;
	feed = calloc(1, sizeof *feed);
	if (!feed)
		return NULL;
	feed->job.run = run_feed;
	feed->feeds = feeds;
	memcpy(feed->runtime_id, runtime_id.ptr, runtime_id.len);
	feed->next = feeds->first;
	feeds->first = feed;
	return feed;
}

/* Frees a feed that nobody needs. */
static void release(struct feed *feed)
{
	struct feed **feedp = &feed->feeds->first;

	if (feed->running || feed->first)
		return;
	while (*feedp != feed)
		feedp = &(*feedp)->next;
	*feedp = feed->next;
	free(feed);
}

static bool is_hungry(const struct follower *follower)
{
	return !follower->over && follower->text.len == 0;
}

/* Where there is no room for the job, the next tick tries again. */
static void ask_soon(struct feed *feed)
{
	if (!feed->running && !feed->feeds->closed)
		feed->running = executor_submit(&feed->feeds->service->executor, &feed->job, false);
}

static void take_page(struct follower *follower, const struct page *page, bool over)
{
	buffer_append(&follower->text, page->text.data, page->text.len);
	/* It goes on where it was when it comes back. */
	follower->over = over || follower->text.failed;
	/* One who is told that there is more, and given nothing, waits as others do. */
	follower->more = page->more && page->text.len > 0;
	strcpy(follower->cursor, page->cursor);
	if (follower->text.len > 0 || follower->over)
		clients_resume(follower->feed->feeds->clients, follower->exchange);
}

static struct follower *next_to_ask(const struct feed *feed)
{
	struct follower *follower = feed->first;

	while (follower && (follower->pass == feed->pass || !is_hungry(follower) || !(follower->more || feed->ticked)))
		follower = follower->next;
	return follower;
}

static bool is_behind(const struct feed *feed)
{
	for (const struct follower *follower = feed->first; follower; follower = follower->next)
		if (follower->more && is_hungry(follower))
			return true;
	return false;
}

/* ---- Asking ---- */

/* Reads the page behind a cursor. False where there is none, and its text says why. */
static bool ask(struct feed *feed, const char *cursor, struct page *page)
{
	struct service *service = feed->feeds->service;
	struct set *set = sets_hold(&service->sets);
	CLEANUP(buffer_fini) struct buffer answer = { 0 }, scratch = { 0 };
	struct request request = {
		.op = REQUEST_READ_EVENTS,
		.runtime_id = berth_text(feed->runtime_id),
		.cursor = berth_text(cursor),
		.limit = FOLLOW_PAGE,
		.deadline_ns = services_monotonic_ns() + service->timeout_ns,
	};
	struct berth_text none = { NULL, 0 }, text;
	struct error error;
	bool read;

	*page = (struct page){ .more = false };
	if (request_complete(&request, none, &scratch, &error) == 0)
		registry_answer(&set->setup.inventory.registry, &request, &answer);
	sets_release(&service->sets, set);
	text = (struct berth_text){ answer.data, answer.failed ? 0 : answer.len };
	read = page_read(page, text);
	if (!read && text.len > 0)
		page_write_end(&page->text, text);
	return read;
}

/* Gives a page to all who wait at a cursor; holding the lock. */
static void give(struct feed *feed, const char *cursor, const struct page *page, bool over)
{
	for (struct follower *follower = feed->first; follower; follower = follower->next) {
		if (!is_hungry(follower) || strcmp(follower->cursor, cursor) != 0)
			continue;
		follower->pass = feed->pass;
		take_page(follower, page, over);
	}
}

static void run_feed(struct job *job)
{
	struct feed *feed = (struct feed *)job;
	struct feeds *feeds = feed->feeds;
	struct follower *follower;

	pthread_mutex_lock(&feeds->lock);
	feed->pass++;
	while (!feeds->closed && (follower = next_to_ask(feed))) {
		char cursor[BERTH_CURSOR_MAX + 1];
		struct page page;
		bool over;

		strcpy(cursor, follower->cursor);
		pthread_mutex_unlock(&feeds->lock);
		over = !ask(feed, cursor, &page);
		pthread_mutex_lock(&feeds->lock);
		give(feed, cursor, &page, over);
		buffer_fini(&page.text);
	}
	feed->running = feed->ticked = false;
	if (is_behind(feed))
		ask_soon(feed);
	release(feed);
	pthread_mutex_unlock(&feeds->lock);
}

/* ---- Followers ---- */

struct follower *feeds_follow(struct feeds *feeds, struct exchange *exchange)
{
	struct follower *follower = calloc(1, sizeof *follower);
	struct page page;

	if (!follower)
		return NULL;
	if (!page_read(&page, (struct berth_text){ exchange->answer.data, exchange->answer.len })) {
		free(follower);
		return NULL;
	}
	follower->exchange = exchange;
	/* Who reads nothing is told at once that he follows. */
	buffer_append_string(&follower->text, "retry: 1000\n\n");
	pthread_mutex_lock(&feeds->lock);
	follower->feed = find_feed(feeds, exchange->request.runtime_id);
	if (follower->feed) {
		follower->pass = follower->feed->pass;
		follower->linkp = &follower->feed->first;
		follower->next = *follower->linkp;
		if (follower->next)
			follower->next->linkp = &follower->next;
		*follower->linkp = follower;
		take_page(follower, &page, feeds->closed);
	}
	pthread_mutex_unlock(&feeds->lock);
	buffer_fini(&page.text);
	if (follower->feed)
		return follower;
	buffer_fini(&follower->text);
	free(follower);
	return NULL;
}

ssize_t follower_take(struct follower *follower, char *to, size_t max)
{
	struct feeds *feeds = follower->feed->feeds;
	ssize_t taken;

	pthread_mutex_lock(&feeds->lock);
	if (max > follower->text.len - follower->n_taken)
		max = follower->text.len - follower->n_taken;
	if (max > 0)
		memcpy(to, follower->text.data + follower->n_taken, max);
	follower->n_taken += max;
	taken = max == 0 && follower->over ? -1 : (ssize_t)max;
	if (max > 0 && follower->n_taken == follower->text.len) {
		buffer_cut(&follower->text, 0);
		follower->n_taken = 0;
		if (follower->more)
			ask_soon(follower->feed);
	}
	pthread_mutex_unlock(&feeds->lock);
	return taken;
}

bool follower_is_due(struct follower *follower)
{
	struct feeds *feeds = follower->feed->feeds;
	bool due;

	pthread_mutex_lock(&feeds->lock);
	due = follower->text.len > 0 || follower->over;
	pthread_mutex_unlock(&feeds->lock);
	return due;
}

void follower_end(struct follower *follower)
{
	struct feeds *feeds;

	if (!follower)
		return;
	feeds = follower->feed->feeds;
	pthread_mutex_lock(&feeds->lock);
	*follower->linkp = follower->next;
	if (follower->next)
		follower->next->linkp = follower->linkp;
	release(follower->feed);
	pthread_mutex_unlock(&feeds->lock);
	buffer_fini(&follower->text);
	free(follower);
}

/* ---- All of them ---- */

void feeds_init(struct feeds *feeds, struct service *service, struct clients *clients)
{
	*feeds = (struct feeds){ .service = service, .clients = clients };
	pthread_mutex_init(&feeds->lock, NULL);
}

void feeds_tick(struct feeds *feeds)
{
	pthread_mutex_lock(&feeds->lock);
	for (struct feed *feed = feeds->first; feed; feed = feed->next) {
		feed->ticked = true;
		ask_soon(feed);
	}
	pthread_mutex_unlock(&feeds->lock);
}

void feeds_close(struct feeds *feeds)
{
	pthread_mutex_lock(&feeds->lock);
	feeds->closed = true;
	for (struct feed *feed = feeds->first; feed; feed = feed->next)
		for (struct follower *follower = feed->first; follower; follower = follower->next) {
			follower->over = true;
			clients_resume(feeds->clients, follower->exchange);
		}
	pthread_mutex_unlock(&feeds->lock);
}

void feeds_fini(struct feeds *feeds)
{
	pthread_mutex_destroy(&feeds->lock);
}
