/* A capture device for tests that misbehaves on request: an ioplug paced by CLOCK_MONOTONIC.
 *
 *   pcm.NAME {
 *       type fault
 *       control "DIR"        switches and reports, see below
 *       audio "FILE"         raw interleaved sound in the device's own format (optional)
 *       rates [ 44100 48000 ]   what it takes; without: 8000 to 96000
 *       channels [ 2 ]          likewise; without: 1 to 8
 *       format "S32_LE"         without: S16_LE; also U8, S24_LE, S24_3LE and FLOAT_LE
 *       speed 300               percent of its rate that really come; without: 100
 *       periods_max 4           of a buffer; without: 1024
 *   }
 *
 * A file in DIR is a switch, looked at on every call:
 *   unplugged  opening fails with ENODEV, as does everything on a device that is open
 *   busy       opening fails with EBUSY
 *   denied     opening fails with EACCES
 *   nospace    it does not start: ENOSPC, as on a USB bus without bandwidth
 *   hungup     no frames come, and poll says POLLERR and POLLHUP
 *   stalled    no frames come; the world goes on, so they are lost without a word
 *   overrun    the next question for the position is answered with EPIPE; removed by the device
 *   storm      every question for the position is answered so
 *   vanishing  it can be opened, and is gone when it is prepared; becomes `unplugged`
 *   hangs      a read does not return, as in a driver that has lost its device
 *   coarse     frames come in lots of 37, so that no read has the length that was asked for
 *   zeros      the sound is digital silence, from the next poll on
 *   stuck      likewise, but of one value, 0x3939 in each 16 bits
 *   suspended  it is as after a suspend of the machine: ESTRPIPE; removed by the device
 * and the device writes there:
 *   open       while it is open; holds the process id
 *   delivered  frames handed out since the device was opened, 8 bytes little-endian
 *
 * The sound is indexed by frames of the world since the device was first started: what is lost is
 * missing from it. Without a file each sample is that index, modulo 32768, in every channel (in the
 * upper bits of a wider one).
 */
#include <alsa/asoundlib.h>
#include <alsa/pcm_external.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define CHOICES_MAX 16
#define LOT 37

struct device {
	snd_pcm_ioplug_t io;
	char control[512];
	const unsigned char *audio; /* mapped, or NULL */
	size_t audio_bytes;
	int delivered_fd;
	uint64_t delivered, delivered_before; /* up to now; up to the last start */
	int running;
	int still; /* the byte that a converter gives that stands still; -1: it does not */
	long speed; /* percent */
	int64_t world_began_ns; /* 0: never started */
	int64_t offset;         /* world index of frame 0 since the last start, stalls added */
	int64_t produced;       /* frames since the last start */
};

static int64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void path_of(const struct device *d, const char *name, char *path, size_t size)
{
	snprintf(path, size, "%s/%s", d->control, name);
}

static int is_on(const struct device *d, const char *name)
{
	char path[600];
	path_of(d, name, path, sizeof path);
	return access(path, F_OK) == 0;
}

static int take(const struct device *d, const char *name)
{
	char path[600];
	path_of(d, name, path, sizeof path);
	return unlink(path) == 0;
}

static void set(const struct device *d, const char *name)
{
	char path[600];
	path_of(d, name, path, sizeof path);
	close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

static int64_t world(const struct device *d)
{
	return (int64_t)((double)(now_ns() - d->world_began_ns) * d->io.rate * d->speed / 1e11);
}

static void produce(struct device *d)
{
	if (!d->running)
		return;
	if (is_on(d, "stalled") || is_on(d, "hungup"))
		d->offset = world(d) - d->produced;
	else
		d->produced = world(d) - d->offset;
	if (is_on(d, "coarse"))
		d->produced -= d->produced % LOT;
}

static int set_timer(struct device *d, long ns)
{
	struct itimerspec every = {{0, ns}, {0, ns}};
	return timerfd_settime(d->io.poll_fd, 0, &every, NULL) < 0 ? -errno : 0;
}

static int fault_prepare(snd_pcm_ioplug_t *io)
{
	struct device *d = io->private_data;
	if (take(d, "vanishing"))
		set(d, "unplugged");
	if (is_on(d, "unplugged"))
		return -ENODEV;
	d->running = 0;
	d->produced = 0;
	d->delivered_before = d->delivered;
	return 0;
}

static int fault_start(snd_pcm_ioplug_t *io)
{
	struct device *d = io->private_data;
	if (is_on(d, "unplugged"))
		return -ENODEV;
	if (is_on(d, "nospace"))
		return -ENOSPC;
	if (!d->world_began_ns)
		d->world_began_ns = now_ns();
	d->offset = world(d);
	d->running = 1;
	return set_timer(d, (long)(1000000000.0 * io->period_size / io->rate));
}

static int fault_stop(snd_pcm_ioplug_t *io)
{
	struct device *d = io->private_data;
	d->running = 0;
	return set_timer(d, 0);
}

static snd_pcm_sframes_t fault_pointer(snd_pcm_ioplug_t *io)
{
	struct device *d = io->private_data;
	if (is_on(d, "unplugged"))
		return -ENODEV;
	if (d->running && (take(d, "overrun") || is_on(d, "storm")))
		return -EPIPE;
	produce(d);
	if (d->produced - (int64_t)io->appl_ptr > (int64_t)io->buffer_size)
		return -EPIPE;
	return d->produced % io->buffer_size;
}

/* One sample, `value` in its upper 16 bits (8, with one byte). */
static void put(char *to, snd_pcm_format_t format, int16_t value)
{
	int32_t wide = value * 65536, middle = value * 256;
	float real = value / 32768.0f;
	switch (format) {
	case SND_PCM_FORMAT_U8:
		*to = (char)(value / 256 + 128);
		break;
	case SND_PCM_FORMAT_S24_3LE:
		memcpy(to, &middle, 3);
		break;
	case SND_PCM_FORMAT_S24_LE:
		memcpy(to, &middle, 4);
		break;
	case SND_PCM_FORMAT_S32_LE:
		memcpy(to, &wide, 4);
		break;
	case SND_PCM_FORMAT_FLOAT_LE:
		memcpy(to, &real, 4);
		break;
	default:
		memcpy(to, &value, 2);
	}
}

static void fill(const struct device *d, char *to, int64_t index, size_t frame_bytes)
{
	size_t at = (size_t)index * frame_bytes;
	if (d->audio) {
		if (at + frame_bytes <= d->audio_bytes)
			memcpy(to, d->audio + at, frame_bytes);
		else
			memset(to, 0, frame_bytes);
		return;
	}
	for (unsigned c = 0; c < d->io.channels; c++)
		put(to + c * frame_bytes / d->io.channels, d->io.format, index & 0x7fff);
}

static snd_pcm_sframes_t fault_transfer(snd_pcm_ioplug_t *io, const snd_pcm_channel_area_t *areas,
					snd_pcm_uframes_t offset, snd_pcm_uframes_t size)
{
	struct device *d = io->private_data;
	size_t frame_bytes = areas[0].step / 8;
	char *to = (char *)areas[0].addr + areas[0].first / 8 + offset * frame_bytes;
	while (is_on(d, "hangs"))
		nanosleep(&(struct timespec){0, 10000000}, NULL);
	if (is_on(d, "unplugged"))
		return -ENODEV;
	if (d->still >= 0)
		memset(to, d->still, size * frame_bytes);
	/* With mmap the same frames are asked for again until the reader has moved on. */
	for (snd_pcm_uframes_t i = 0; d->still < 0 && i < size; i++)
		fill(d, to + i * frame_bytes, d->offset + io->appl_ptr + i, frame_bytes);
	d->delivered = d->delivered_before + io->appl_ptr + size;
	return pwrite(d->delivered_fd, &d->delivered, sizeof d->delivered, 0) < 0 ? -errno : (snd_pcm_sframes_t)size;
}

static int fault_revents(snd_pcm_ioplug_t *io, struct pollfd *pfd, unsigned int count,
			 unsigned short *revents)
{
	struct device *d = io->private_data;
	uint64_t ticks;
	(void)pfd, (void)count;
	if (is_on(d, "unplugged")) {
		*revents = POLLERR | POLLIN; /* and stays readable, as a dead descriptor does */
		return 0;
	}
	if (is_on(d, "hungup")) {
		*revents = POLLERR | POLLHUP;
		return 0;
	}
	if (d->running && take(d, "suspended")) {
		snd_pcm_ioplug_set_state(io, SND_PCM_STATE_SUSPENDED);
		*revents = POLLERR | POLLIN;
		return 0;
	}
	if (read(io->poll_fd, &ticks, sizeof ticks) < 0 && errno != EAGAIN)
		return -errno;
	produce(d);
	d->still = is_on(d, "zeros") ? 0 : is_on(d, "stuck") ? 0x39 : -1;
	*revents = d->produced - (int64_t)io->appl_ptr >= (int64_t)io->period_size ? POLLIN : 0;
	return 0;
}

static int fault_close(snd_pcm_ioplug_t *io)
{
	struct device *d = io->private_data;
	take(d, "open");
	if (d->audio)
		munmap((void *)d->audio, d->audio_bytes);
	close(d->delivered_fd);
	close(io->poll_fd);
	free(d);
	return 0;
}

static const snd_pcm_ioplug_callback_t callbacks = {
	.prepare = fault_prepare,
	.start = fault_start,
	.stop = fault_stop,
	.pointer = fault_pointer,
	.transfer = fault_transfer,
	.poll_revents = fault_revents,
	.close = fault_close,
};

static unsigned read_list(snd_config_t *list, unsigned *values)
{
	snd_config_iterator_t i, next;
	unsigned count = 0;
	snd_config_for_each(i, next, list) {
		long value;
		if (count < CHOICES_MAX && snd_config_get_integer(snd_config_iterator_entry(i), &value) >= 0)
			values[count++] = (unsigned)value;
	}
	return count;
}

static int constrain(snd_pcm_ioplug_t *io, int what, const unsigned *values, unsigned count,
		     unsigned least, unsigned most)
{
	if (count)
		return snd_pcm_ioplug_set_param_list(io, what, count, values);
	return snd_pcm_ioplug_set_param_minmax(io, what, least, most);
}

static int map_audio(struct device *d, const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) == 0 && st.st_size > 0) {
		void *map = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (map != MAP_FAILED) {
			d->audio = map;
			d->audio_bytes = st.st_size;
		}
	}
	close(fd);
	return d->audio ? 0 : -EIO;
}

static int report_open(struct device *d)
{
	char path[600];
	FILE *file;
	path_of(d, "open", path, sizeof path);
	file = fopen(path, "w");
	if (!file)
		return -errno;
	fprintf(file, "%d\n", getpid());
	fclose(file);
	path_of(d, "delivered", path, sizeof path);
	d->delivered_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	return d->delivered_fd < 0 ? -errno : 0;
}

SND_PCM_PLUGIN_DEFINE_FUNC(fault)
{
	static const unsigned access_list[] = {
		SND_PCM_ACCESS_RW_INTERLEAVED, SND_PCM_ACCESS_MMAP_INTERLEAVED /* for plug */};
	unsigned rates[CHOICES_MAX], channels[CHOICES_MAX], rate_count = 0, channel_count = 0;
	unsigned format = SND_PCM_FORMAT_S16_LE;
	long periods_max = 1024, speed = 100;
	const char *control = NULL, *audio = NULL, *text;
	snd_config_iterator_t i, next;
	struct device *d;
	int err;

	(void)root;
	snd_config_for_each(i, next, conf) {
		snd_config_t *entry = snd_config_iterator_entry(i);
		const char *id;
		if (snd_config_get_id(entry, &id) < 0)
			continue;
		if (!strcmp(id, "control"))
			snd_config_get_string(entry, &control);
		else if (!strcmp(id, "audio"))
			snd_config_get_string(entry, &audio);
		else if (!strcmp(id, "rates"))
			rate_count = read_list(entry, rates);
		else if (!strcmp(id, "channels"))
			channel_count = read_list(entry, channels);
		else if (!strcmp(id, "periods_max"))
			snd_config_get_integer(entry, &periods_max);
		else if (!strcmp(id, "speed"))
			snd_config_get_integer(entry, &speed);
		else if (!strcmp(id, "format") && snd_config_get_string(entry, &text) >= 0)
			format = snd_pcm_format_value(text);
	}
	if (!control || stream != SND_PCM_STREAM_CAPTURE)
		return -EINVAL;
	d = calloc(1, sizeof *d);
	if (!d)
		return -ENOMEM;
	snprintf(d->control, sizeof d->control, "%s", control);
	d->speed = speed;
	d->still = -1;
	err = is_on(d, "unplugged") ? -ENODEV : is_on(d, "busy") ? -EBUSY : is_on(d, "denied") ? -EACCES : 0;
	if (!err && audio)
		err = map_audio(d, audio);
	if (!err)
		err = report_open(d);
	if (err < 0) {
		free(d);
		return err;
	}
	d->io.version = SND_PCM_IOPLUG_VERSION;
	d->io.name = "a capture device for tests";
	d->io.callback = &callbacks;
	d->io.private_data = d;
	d->io.poll_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	d->io.poll_events = POLLIN;
	err = snd_pcm_ioplug_create(&d->io, name, stream, mode);
	if (err < 0) {
		fault_close(&d->io);
		return err;
	}
	snd_pcm_ioplug_set_param_list(&d->io, SND_PCM_IOPLUG_HW_ACCESS, 2, access_list);
	snd_pcm_ioplug_set_param_list(&d->io, SND_PCM_IOPLUG_HW_FORMAT, 1, &format);
	constrain(&d->io, SND_PCM_IOPLUG_HW_CHANNELS, channels, channel_count, 1, 8);
	constrain(&d->io, SND_PCM_IOPLUG_HW_RATE, rates, rate_count, 8000, 96000);
	snd_pcm_ioplug_set_param_minmax(&d->io, SND_PCM_IOPLUG_HW_PERIOD_BYTES, 64, 1 << 20);
	snd_pcm_ioplug_set_param_minmax(&d->io, SND_PCM_IOPLUG_HW_PERIODS, 2, periods_max);
	*pcmp = d->io.pcm;
	return 0;
}

SND_PCM_PLUGIN_SYMBOL(fault);
