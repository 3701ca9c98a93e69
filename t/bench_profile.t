# Why: bench/profile says where the CPU goes, and its table is what an aim that
# is missed is explained with.  perf itself is not asked here: what it prints
# is.  Known to fail by: samples that have no class, or that of an outer call;
# a socket of Redis taken for a client's; a symbol with blanks in it; the
# module taken for nginx, whose name is in its own.

use strict;
use warnings;

use lib 't/lib', 'bench/lib';

use Bench::Profile;
use Test::More;

my $kernel = '([kernel.kallsyms])';
my $module = '(/x/nginx/objs/ngx_http_eventsession_module.so)';

my @samples = (
    [ client_send => "tcp_ack $kernel", "tcp_sendmsg_locked $kernel",
        "sock_write_iter $kernel", '__GI___writev (/lib/libc.so.6)' ],
    [ client_wake => "_raw_spin_unlock_irqrestore $kernel",
        "sock_def_readable $kernel", "tcp_rcv_established $kernel",
        "tcp_sendmsg $kernel", '__send (/lib/libc.so.6)' ],
    [ redis_send => "_raw_spin_unlock_irqrestore $kernel",
        "unix_stream_sendmsg $kernel", '__GI___writev (/lib/libc.so.6)' ],
    [ redis_read => "kfree $kernel", "unix_stream_read_generic $kernel",
        "unix_stream_recvmsg $kernel", '__libc_recv (/lib/libc.so.6)' ],
    [ client_read => "_copy_to_iter $kernel", "tcp_recvmsg_locked $kernel",
        "__x64_sys_recvfrom $kernel" ],
    [ epoll => "finish_task_switch.isra.0 $kernel", "schedule $kernel",
        "do_epoll_wait $kernel", "__x64_sys_epoll_wait $kernel" ],
    [ switch => "finish_task_switch.isra.0 $kernel", "schedule $kernel",
        "exit_to_user_mode_loop $kernel", "do_syscall_64 $kernel" ],
    [ kernel     => "asm_exc_page_fault $kernel" ],
    [ nginx      => 'ngx_http_parse_request_line (/usr/sbin/nginx)' ],
    [ nginx      => '[unknown] (/usr/sbin/nginx)' ],
    [ room_proto => "evs_ws_parse $module" ],
    [ room_event => "evs_number_write $module" ],
    [ room_http  => "ngx_http_eventsession_pages_page $module" ],
    [ room_store => "evs_member_read $module" ],
    [ room_redis => "evs_resp_next $module", "evs_member_read $module" ],
    [ room_redis => "evs_redis_commit.localalias $module" ],
    [ room_stats => "evs_stats_observe $module" ],
    [ libc       => '_int_malloc (/usr/lib/x86_64-linux-gnu/libc.so.6)' ],
    [ libc       => '__vdso_clock_gettime ([vdso])' ],
    [ other      => 'inflate (/lib/x86_64-linux-gnu/libz.so.1.2.13)' ],
);

my %known = map { $_->[0] => 1 } Bench::Profile::classes();

for my $sample (@samples) {
    my ($class, @calls) = @$sample;

    my $text = join("\n", map { "\tffffffff82200809 $_" } @calls) . "\n";

    is_deeply(Bench::Profile::shares_of($text), { $class => 1 },
        "$class: $calls[0]");
    ok($known{$class}, "$class is in the table");
}

my $text = join("\n", map { "    55e0 $_->[1]\n" } @samples[8, 8, 10, 17]);

is_deeply(Bench::Profile::shares_of($text),
    { nginx => 0.5, room_proto => 0.25, libc => 0.25 }, 'shares');

is(eval { Bench::Profile::shares_of("\n") }, undef, 'no samples are no shares');
like($@, qr/no samples/, 'and it says so');

done_testing();
