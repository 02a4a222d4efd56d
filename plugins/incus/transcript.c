/* SPDX-License-Identifier: MIT */
/*
 * A transcript only grows, so what was counted stays counted: the index keeps how many bytes
 * and items are known, and where every 64th item begins. A request reads what is new, and
 * then the page that is wanted. What a worker writes is not trusted: a line that is no item,
 * or whose number does not rise, is passed over, by every reader alike.
 */
#include "config.h"

#include "transcript.h"

#include <pthread.h>
#include <stdlib.h>

#include "inline/json_reader.h"
#include "inline/utf8.h"

enum {
	STRIDE = 64,		   /* items between two marks */
	CHUNK = 4 << 20,	   /* bytes that are read at once */
	PAGE_MAX = 16 << 20,	   /* bytes of one answer */
	LINE_MAX_LEN = 16 << 20,   /* beyond twice as much, no end of a line is looked for */
	INDICES_MAX = 4096,
};

struct mark {
	uint64_t offset, sequence; /* where the item begins; the number of the one before */
};

struct index {
	char key[NAMES_KEY_LEN + 1];
	uint64_t used; /* when, in requests */
	uint64_t bytes, items, sequence;
	struct mark *marks;
	size_t n_marks, marks_size;
	unsigned users;
	pthread_mutex_t lock; /* over what is above, but for key, used and users */
	struct index *next;
};

struct transcripts {
	pthread_mutex_t lock;
	struct index *indices;
	size_t n;
	uint64_t clock;
};

/* ---- Indices ---- */

struct transcripts *transcripts_new(void)
{
	struct transcripts *transcripts = calloc(1, sizeof *transcripts);

	if (transcripts)
		pthread_mutex_init(&transcripts->lock, NULL);
	return transcripts;
}

static void index_free(struct index *index)
{
	pthread_mutex_destroy(&index->lock);
	free(index->marks);
	free(index);
}

void transcripts_free(struct transcripts *transcripts)
{
	if (!transcripts)
		return;
	while (transcripts->indices) {
		struct index *index = transcripts->indices;

		transcripts->indices = index->next;
		index_free(index);
	}
	pthread_mutex_destroy(&transcripts->lock);
	free(transcripts);
}

/* Forgets the one that was not used for the longest time. */
static void forget_one(struct transcripts *transcripts)
{
	struct index **oldest = NULL;

	for (struct index **index = &transcripts->indices; *index; index = &(*index)->next)
		if ((*index)->users == 0 && (!oldest || (*index)->used < (*oldest)->used))
			oldest = index;
	if (oldest) {
		struct index *index = *oldest;

		*oldest = index->next;
		transcripts->n--;
		index_free(index);
	}
}

static struct index *index_new(struct transcripts *transcripts, const char *key)
{
	struct index *index = calloc(1, sizeof *index);

	if (!index)
		return NULL;
	if (transcripts->n >= INDICES_MAX)
		forget_one(transcripts);
	pthread_mutex_init(&index->lock, NULL);
	memcpy(index->key, key, sizeof index->key);
	index->next = transcripts->indices;
	transcripts->indices = index;
	transcripts->n++;
	return index;
}

/* Locked; NULL: no memory. */
static struct index *take_index(struct transcripts *transcripts, const char *key)
{
	struct index *index;

	pthread_mutex_lock(&transcripts->lock);
	for (index = transcripts->indices; index && strcmp(index->key, key) != 0;)
		index = index->next;
	if (!index)
		index = index_new(transcripts, key);
	if (index) {
		index->used = ++transcripts->clock;
		index->users++;
	}
	pthread_mutex_unlock(&transcripts->lock);
	if (index)
		pthread_mutex_lock(&index->lock);
	return index;
}

static void give_index(struct transcripts *transcripts, struct index *index)
{
	pthread_mutex_unlock(&index->lock);
	pthread_mutex_lock(&transcripts->lock);
	index->users--;
	pthread_mutex_unlock(&transcripts->lock);
}

static int add_mark(struct index *index, uint64_t offset)
{
	if (index->n_marks == index->marks_size) {
		size_t size = index->marks_size ? index->marks_size * 2 : 16;
		struct mark *more = realloc(index->marks, size * sizeof *more);

		if (!more)
			return -ENOMEM;
		index->marks = more;
		index->marks_size = size;
	}
	index->marks[index->n_marks++] = (struct mark){ offset, index->sequence };
	return 0;
}

/* ---- Items ---- */

/* Of a file. */
struct bytes {
	char *ptr;
	size_t len;
};

struct item {
	uint64_t sequence, event_id;
	const char *role;
	struct json_slice content;
};

/* What is no UTF-8 becomes as many question marks. */
static void mend(char *text, size_t len)
{
	for (size_t i = 0; i < len;) {
		uint32_t code;
		size_t n = utf8_decode(text + i, len - i, &code);

		if (n == 0)
			text[i] = '?';
		i += n ? n : 1;
	}
}

static const char *read_role(const struct json_slice *slice)
{
	static const char *const roles[] = { "user", "system", "worker" };

	for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
		if (json_string_is(slice, roles[i]))
			return roles[i];
	return NULL;
}

static uint64_t read_count(struct json_reader *r)
{
	struct json_slice number;
	uint64_t count = 0;

	return json_peek(r) == JSON_NUMBER && json_read_number(r, &number) && json_number_is_u64(&number, &count) ? count : 0;
}

/* The first with each name counts. */
static bool read_item(const char *line, size_t len, uint64_t last, struct item *item)
{
	struct json_slice key, role;
	struct json_reader r;

	*item = (struct item){ 0 };
	json_open(&r, line, len);
	if (!json_enter_object(&r))
		return false;
	while (json_next_member(&r, &key)) {
		if (json_string_is(&key, "sequence") && !item->sequence)
			item->sequence = read_count(&r);
		else if (json_string_is(&key, "event_id") && !item->event_id)
			item->event_id = read_count(&r);
		else if (json_string_is(&key, "role") && !item->role && json_read_string(&r, &role))
			item->role = read_role(&role);
		else if (json_string_is(&key, "content") && !item->content.ptr)
			json_read_string(&r, &item->content);
		else
			json_skip(&r);
	}
	return json_close(&r) && item->sequence > last && item->event_id > 0 && item->role && item->content.ptr &&
	       item->content.len <= BERTH_CONTENT_MAX;
}

/* ---- Reading ---- */

/* The bytes from first on, at most len; *totalp: how many there are. A server that knows no ranges
 * gives all of them. -ESTALE: there are fewer than first. */
static int read_bytes(const struct cluster_call *call, const char *container, uint64_t first, uint64_t len,
		      struct client_reply *reply, struct bytes *bytesp, uint64_t *totalp)
{
	int rc = cluster_read_file(call, container, CLUSTER_HOME "/transcript", first, first + len - 1, reply);

	if (rc < 0)
		return rc;
	if (reply->status == 416) { /* an empty file has no range that could be had */
		*bytesp = (struct bytes){ reply->data, 0 };
		*totalp = reply->total;
		return first > reply->total ? -ESTALE : 0;
	}
	if (reply->status == 206) {
		if (reply->first != first || reply->len > len || reply->total < first + reply->len)
			return -EPROTO;
		*bytesp = (struct bytes){ reply->data, reply->len };
		*totalp = reply->total;
		return 0;
	}
	if (reply->len < first)
		return -ESTALE;
	*totalp = reply->len;
	*bytesp = (struct bytes){ reply->data + first, reply->len - first < len ? reply->len - first : len };
	return 0;
}

/* Counts the whole lines among new bytes. Returns how many bytes these are. */
static size_t count_lines(struct index *index, char *bytes, size_t len, int *rcp)
{
	size_t done = 0;
	char *newline;

	while (*rcp == 0 && (newline = memchr(bytes + done, '\n', len - done))) {
		size_t line_len = (size_t)(newline - bytes) - done;
		struct item item;

		mend(bytes + done, line_len);
		if (read_item(bytes + done, line_len, index->sequence, &item)) {
			if (index->items % STRIDE == 0)
				*rcp = add_mark(index, index->bytes + done);
			if (*rcp < 0)
				break;
			index->items++;
			index->sequence = item.sequence;
		}
		done += line_len + 1;
	}
	return done;
}

static void start_again(struct index *index)
{
	index->bytes = index->items = index->sequence = 0;
	index->n_marks = 0;
}

/* Brings the index up to what is there now. The last byte that is known, a newline, is read
 * again: so there always is one, and it shows whether the file is still the same. */
static int refresh(struct index *index, const struct cluster_call *call, const char *container)
{
	uint64_t chunk = CHUNK;

	for (;;) {
		uint64_t known = index->bytes > 0, total = 0, end;
		struct client_reply reply = { 0 };
		struct bytes bytes = { 0 };
		int rc = read_bytes(call, container, index->bytes - known, chunk + known, &reply, &bytes, &total);
		size_t done = 0;

		if (rc == -ESTALE || (rc == 0 && known && (bytes.len == 0 || *bytes.ptr != '\n'))) {
			client_reply_fini(&reply);
			start_again(index);
			if (!known)
				return -EPROTO;
			continue;
		}
		if (rc == 0)
			done = count_lines(index, bytes.ptr + known, bytes.len - known, &rc);
		client_reply_fini(&reply);
		if (rc < 0)
			return rc;
		end = index->bytes - known + bytes.len;
		index->bytes += done;
		if (end >= total)
			return 0;
		if (done == 0) { /* a line that is longer than what was read */
			if (chunk > LINE_MAX_LEN)
				return -EPROTO;
			chunk *= 2;
		}
	}
}

/* A page that is being given. */
struct page {
	const struct index *index;
	struct berth_call *call;
	uint64_t next, end;	/* items, by index */
	uint64_t sequence;	/* of the last item, whether wanted or not */
	struct berth_answer answer;
};

static int push_item(struct page *page, const struct item *item)
{
	char *content = malloc(item->content.len + 1);
	struct berth_transcript_item pushed = {
		.size = sizeof pushed, .sequence = item->sequence, .event_id = item->event_id, .role = berth_text(item->role),
	};
	int rc;

	if (!content)
		return -ENOMEM;
	pushed.content = (struct berth_text){ content, json_unescape(&item->content, content) };
	rc = page->call->sink->transcript_item(page->call, &pushed);
	free(content);
	return rc;
}

/* Pushes of these bytes what is wanted; at: the item with which they begin. */
static int push_lines(struct page *page, struct bytes bytes, uint64_t at)
{
	size_t done = 0;
	char *newline;
	int rc = 0;

	while (rc == 0 && at < page->end && (newline = memchr(bytes.ptr + done, '\n', bytes.len - done))) {
		size_t len = (size_t)(newline - bytes.ptr) - done;
		struct item item;

		mend(bytes.ptr + done, len);
		if (read_item(bytes.ptr + done, len, page->sequence, &item)) {
			page->sequence = item.sequence;
			if (at++ >= page->next)
				rc = push_item(page, &item);
		}
		done += len + 1;
	}
	return rc;
}

/* The bytes in which the items of a page are. Fewer items than wanted where they are many. */
static uint64_t page_bytes(struct page *page, uint64_t first_mark)
{
	const struct index *index = page->index;
	uint64_t begin = index->marks[first_mark].offset, mark = (page->end + STRIDE - 1) / STRIDE;
	uint64_t end = mark < index->n_marks ? index->marks[mark].offset : index->bytes;

	while (end - begin > PAGE_MAX && mark > first_mark + 1) {
		mark--;
		end = index->marks[mark].offset;
		if (page->end > mark * STRIDE && mark * STRIDE > page->next)
			page->end = mark * STRIDE;
	}
	return end - begin;
}

static int push_page(struct page *page, const struct cluster_call *call, const char *container)
{
	struct client_reply reply = { 0 };
	struct bytes bytes = { 0 };
	uint64_t first_mark = page->next / STRIDE, len, total;
	int rc = 0;

	if (page->next < page->end) {
		len = page_bytes(page, first_mark);
		page->sequence = page->index->marks[first_mark].sequence;
		rc = read_bytes(call, container, page->index->marks[first_mark].offset, len, &reply, &bytes, &total);
	}
	if (rc == 0) {
		if (page->end < page->index->items) {
			page->answer.more = 1;
			page->answer.next_start = page->end;
		}
		call->call->sink->answer(call->call, &page->answer);
		if (bytes.len > 0)
			rc = push_lines(page, bytes, first_mark * STRIDE);
		if (rc < 0)
			rc = call->call->sink->fail(call->call, rc, "no memory for a transcript");
	}
	client_reply_fini(&reply);
	return rc;
}

int transcripts_push(struct transcripts *transcripts, const struct cluster_call *call, const char *container, const char *key,
		     const struct berth_transcript_request *request)
{
	struct index *index = take_index(transcripts, key);
	struct page page = { .index = index, .call = call->call, .next = request->start };
	int rc;

	if (!index)
		return -ENOMEM;
	rc = refresh(index, call, container);
	if (rc == 0) {
		page.end = index->items;
		if (page.next < index->items && index->items - page.next > request->limit)
			page.end = page.next + request->limit;
		page.answer = (struct berth_answer){ .size = sizeof page.answer, .state = BERTH_ACCEPTED, .total_items = index->items };
		rc = page.next < index->items ? push_page(&page, call, container) :
						call->call->sink->answer(call->call, &page.answer);
	}
	give_index(transcripts, index);
	return rc;
}
