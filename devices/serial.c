/* SPDX-License-Identifier: MIT */
/*
 * The 16550A subset that operating systems probe for and write their logs to. Register names and
 * numbers are those of the PC16550D data sheet.
 *
 * vCPU threads write bytes into a buffer under a lock; the loop's thread hands it to the back end
 * when a line or half a buffer is complete, or a moment after the last byte. Interrupts are edges:
 * one when the transmitter interrupt becomes pending, not one for each byte.
 */
#include <vmm/dev/serial.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER_SIZE    8192u
#define FLUSH_AT       (BUFFER_SIZE / 2)
#define FLUSH_DELAY_NS UINT64_C(10000000)

enum {
	REG_DATA = 0, /* THR, RBR; divisor latch low when DLAB */
	REG_IER = 1,  /* divisor latch high when DLAB */
	REG_IIR = 2,  /* read; FCR when written */
	REG_LCR = 3,
	REG_MCR = 4,
	REG_LSR = 5,
	REG_MSR = 6,
	REG_SCR = 7,
	REG_COUNT = 8,
};

#define IER_RDI  0x01u
#define IER_THRI 0x02u
#define IER_MASK 0x0fu

#define IIR_NONE 0x01u
#define IIR_THRI 0x02u
#define IIR_RDI  0x04u
#define IIR_FIFO 0xc0u

#define FCR_ENABLE 0x01u
#define LCR_DLAB   0x80u

#define MCR_DTR  0x01u
#define MCR_RTS  0x02u
#define MCR_OUT1 0x04u
#define MCR_OUT2 0x08u
#define MCR_LOOP 0x10u
#define MCR_MASK 0x1fu

#define LSR_DR   0x01u
#define LSR_THRE 0x20u
#define LSR_TEMT 0x40u

#define MSR_CTS 0x10u
#define MSR_DSR 0x20u
#define MSR_RI  0x40u
#define MSR_DCD 0x80u

struct serial {
	struct vmm_platform_device base;
	struct vmm_loop *loop;
	struct vmm_chardev *output;
	struct vmm_work flush_work;
	struct vmm_source *timer;

	pthread_mutex_t lock; /* everything below */
	uint8_t ier;
	uint8_t fcr;
	uint8_t lcr;
	uint8_t mcr;
	uint8_t scr;
	uint8_t divisor[2];
	uint8_t received; /* only ever our own byte, in loopback mode */
	bool data_ready;
	bool thre_pending;
	bool line_complete; /* the buffer holds a newline */
	size_t used;
	uint8_t buffer[BUFFER_SIZE];
};

static struct serial *from_base(struct vmm_platform_device *dev)
{
	return (struct serial *)dev;
}

/* ---- bytes, on the loop's thread ---- */

static void flush(void *ctx)
{
	struct serial *s = ctx;
	uint8_t bytes[BUFFER_SIZE];
	size_t used;

	(void)pthread_mutex_lock(&s->lock);
	used = s->used;
	memcpy(bytes, s->buffer, used);
	s->used = 0;
	s->line_complete = false;
	(void)pthread_mutex_unlock(&s->lock);
	vmm_chardev_write(s->output, bytes, used);
}

/* Posted with the first byte of a buffer, and whenever it is worth flushing. */
static void flush_or_wait(void *ctx)
{
	struct serial *s = ctx;
	bool now;

	(void)pthread_mutex_lock(&s->lock);
	now = s->line_complete || s->used >= FLUSH_AT;
	(void)pthread_mutex_unlock(&s->lock);
	if (now || vmm_source_arm(s->timer, FLUSH_DELAY_NS) != 0) {
		flush(s);
	}
}

/* ---- registers, on vCPU threads, under the lock ---- */

static void raise_thre(struct serial *s)
{
	bool was = s->thre_pending;

	s->thre_pending = true;
	if (!was && (s->ier & IER_THRI) != 0) {
		vmm_irq_raise(s->base.irq);
	}
}

/* A byte leaves the transmitter the moment it is written. True when the loop has something to do.
 */
static bool transmit(struct serial *s, uint8_t byte)
{
	bool first = s->used == 0;

	if ((s->mcr & MCR_LOOP) != 0) {
		s->received = byte;
		s->data_ready = true;
		if ((s->ier & IER_RDI) != 0) {
			vmm_irq_raise(s->base.irq);
		}
		raise_thre(s);
		return false;
	}
	s->buffer[s->used++] = byte;
	s->line_complete |= byte == '\n';
	raise_thre(s);
	return first || byte == '\n' || s->used == FLUSH_AT;
}

static uint8_t read_iir(struct serial *s)
{
	uint8_t fifo = (s->fcr & FCR_ENABLE) != 0 ? IIR_FIFO : 0u;

	if (s->data_ready && (s->ier & IER_RDI) != 0) {
		return (uint8_t)(fifo | IIR_RDI);
	}
	if (s->thre_pending && (s->ier & IER_THRI) != 0) {
		s->thre_pending = false;
		return (uint8_t)(fifo | IIR_THRI);
	}
	return (uint8_t)(fifo | IIR_NONE);
}

/* Somebody is always there and ready; in loopback mode, our own outputs. */
static uint8_t read_msr(const struct serial *s)
{
	if ((s->mcr & MCR_LOOP) == 0) {
		return MSR_DCD | MSR_DSR | MSR_CTS;
	}
	return (uint8_t)((s->mcr & MCR_RTS ? MSR_CTS : 0u) | (s->mcr & MCR_DTR ? MSR_DSR : 0u) |
			 (s->mcr & MCR_OUT1 ? MSR_RI : 0u) | (s->mcr & MCR_OUT2 ? MSR_DCD : 0u));
}

static uint8_t read_data(struct serial *s)
{
	uint8_t byte = s->received;

	s->received = 0;
	s->data_ready = false;
	return byte;
}

static uint8_t read_register(struct serial *s, uint64_t reg)
{
	bool dlab = (s->lcr & LCR_DLAB) != 0;

	switch (reg) {
	case REG_DATA:
		return dlab ? s->divisor[0] : read_data(s);
	case REG_IER:
		return dlab ? s->divisor[1] : s->ier;
	case REG_IIR:
		return read_iir(s);
	case REG_LCR:
		return s->lcr;
	case REG_MCR:
		return s->mcr;
	case REG_LSR:
		return (uint8_t)(LSR_THRE | LSR_TEMT | (s->data_ready ? LSR_DR : 0u));
	case REG_MSR:
		return read_msr(s);
	default:
		return s->scr;
	}
}

static void write_ier(struct serial *s, uint8_t value)
{
	uint8_t was = s->ier;

	s->ier = value & IER_MASK;
	/* Enabling the transmitter interrupt while the register is empty, which it always is,
	 * raises it: drivers start sending this way, and test for it. */
	if ((s->ier & IER_THRI) != 0 && (was & IER_THRI) == 0) {
		s->thre_pending = false;
		raise_thre(s);
	}
	if ((s->ier & IER_RDI) != 0 && (was & IER_RDI) == 0 && s->data_ready) {
		vmm_irq_raise(s->base.irq);
	}
}

/* True when the loop has something to do. */
static bool write_register(struct serial *s, uint64_t reg, uint8_t value)
{
	bool dlab = (s->lcr & LCR_DLAB) != 0;

	switch (reg) {
	case REG_DATA:
		if (!dlab) {
			return transmit(s, value);
		}
		s->divisor[0] = value;
		break;
	case REG_IER:
		if (dlab) {
			s->divisor[1] = value;
		} else {
			write_ier(s, value);
		}
		break;
	case REG_IIR:
		s->fcr = value;
		break;
	case REG_LCR:
		s->lcr = value;
		break;
	case REG_MCR:
		s->mcr = value & MCR_MASK;
		break;
	case REG_SCR:
		s->scr = value;
		break;
	default:
		break; /* LSR and MSR are read-only */
	}
	return false;
}

static uint64_t serial_read(void *ctx, uint64_t offset, unsigned len)
{
	struct serial *s = from_base(ctx);
	uint64_t value = 0;

	(void)pthread_mutex_lock(&s->lock);
	for (unsigned i = 0; i < len; i++) {
		value |= (uint64_t)read_register(s, offset + i) << (8 * i);
	}
	(void)pthread_mutex_unlock(&s->lock);
	return value;
}

static void write_one(struct serial *s, uint64_t reg, uint8_t value)
{
	bool work;

	(void)pthread_mutex_lock(&s->lock);
	while (s->used == BUFFER_SIZE) {
		/* The lock may not be held while another thread is waited for, and other vCPUs may
		 * fill the buffer again meanwhile. */
		(void)pthread_mutex_unlock(&s->lock);
		vmm_loop_call(s->loop, flush, s);
		(void)pthread_mutex_lock(&s->lock);
	}
	work = write_register(s, reg, value);
	(void)pthread_mutex_unlock(&s->lock);
	if (work) {
		vmm_loop_post(s->loop, &s->flush_work);
	}
}

static void serial_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
	/* Wider accesses touch the registers one after the other, as the bus would. */
	for (unsigned i = 0; i < len; i++) {
		write_one(from_base(ctx), offset + i, (uint8_t)(value >> (8 * i)));
	}
}

/* ---- life ---- */

static void set_defaults(struct serial *s)
{
	s->ier = 0;
	s->fcr = 0;
	s->lcr = 0;
	s->mcr = 0;
	s->scr = 0;
	s->divisor[0] = 0x0c; /* 9600 baud */
	s->divisor[1] = 0;
	s->data_ready = false;
	s->thre_pending = false;
}

static void serial_reset(struct vmm_platform_device *dev)
{
	struct serial *s = from_base(dev);

	(void)pthread_mutex_lock(&s->lock);
	set_defaults(s);
	(void)pthread_mutex_unlock(&s->lock);
}

static const struct vmm_platform_ops serial_ops = {
	.bus = {.read = serial_read, .write = serial_write},
	.reset = serial_reset,
	.destroy = vmm_serial_destroy,
};

int vmm_serial_create(struct vmm_platform_device **out, const struct vmm_serial_config *config,
		      struct vmm_error *err)
{
	struct serial *s = calloc(1, sizeof(*s));
	int ret;

	*out = NULL;
	if (!s) {
		return vmm_error_set(err, -ENOMEM, "serial: out of memory");
	}
	s->base.ops = &serial_ops;
	s->base.type = VMM_PLATFORM_UART_8250;
	s->loop = config->loop;
	s->output = config->output;
	s->flush_work.fn = flush_or_wait;
	s->flush_work.ctx = s;
	set_defaults(s);
	ret = vmm_loop_add_timer(s->loop, flush, s, &s->timer);
	if (ret < 0) {
		free(s);
		return vmm_error_set(err, ret, "serial: cannot make a timer: %s", strerror(-ret));
	}
	ret = vmm_chardev_start(s->output, s->loop, NULL, NULL);
	if (ret < 0) {
		vmm_source_remove(s->timer);
		free(s);
		return vmm_error_set(err, ret, "serial: cannot use its back end: %s",
				     strerror(-ret));
	}
	(void)pthread_mutex_init(&s->lock, NULL);
	*out = &s->base;
	return 0;
}

void vmm_serial_flush(struct vmm_platform_device *dev)
{
	if (dev) {
		flush(from_base(dev));
	}
}

void vmm_serial_destroy(struct vmm_platform_device *dev)
{
	struct serial *s;

	if (!dev) {
		return;
	}
	s = from_base(dev);
	flush(s);
	vmm_chardev_stop(s->output);
	vmm_loop_cancel(s->loop, &s->flush_work);
	vmm_source_remove(s->timer);
	(void)pthread_mutex_destroy(&s->lock);
	free(s);
}
