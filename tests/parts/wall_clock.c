/* For LD_PRELOAD: the kernel says that the wall clock was set if the file $CLOCK_SET is there, and
 * else that nobody ever set it. The time itself is as it is.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/timex.h>
#include <unistd.h>

int adjtimex(struct timex *clock)
{
	const char *path = getenv("CLOCK_SET");
	int set = path && access(path, F_OK) == 0;
	memset(clock, 0, sizeof *clock);
	clock->status = set ? STA_PLL : STA_UNSYNC;
	return set ? TIME_OK : TIME_ERROR;
}
