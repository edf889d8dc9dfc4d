# SPDX-License-Identifier: GPL-2.0-only
#
# The picture of "make bench". bench.py defines the data blocks and the name
# of the output, then loads this. The colours are readable on white and on black.
set terminal svg size 960,660 dynamic font 'sans-serif,12'
set output output

grey = '#808080'
set border 3 linecolor rgb grey
set tics nomirror textcolor rgb grey
set title textcolor rgb grey offset 0,-0.5
set xlabel textcolor rgb grey
set ylabel textcolor rgb grey
set key left top textcolor rgb grey samplen 2
set style line 1 linecolor rgb '#1f8fd0' linewidth 2.5 pointtype 7 pointsize 0.5
set style line 2 linecolor rgb '#e0702a' linewidth 2.5 pointtype 7 pointsize 0.5
set style line 3 linecolor rgb '#9060c0' linewidth 2.5 pointtype 7 pointsize 0.5

set label 1 "{/:Bold What operations on events cost: lower is better}" \
	at screen 0.5,0.97 center textcolor rgb grey font ',15'
set multiplot layout 2,3 margins 0.085,0.985,0.09,0.86 spacing 0.085,0.18

set logscale xy
set format x '%.0s%c'

# The last point of each line has its figure beside it.
set xrange [0.7:2000]
set yrange [2:2000000]
set key right bottom
set xtics (1, 10, 100)
set xlabel 'instances'
set ylabel 'KiB of slab'
set format y '%.0s%c'
set title 'memory of new instances'
figure(kib) = kib < 10240 ? sprintf('%.1f MiB', kib / 1024) : sprintf('%.0f MiB', kib / 1024)
plot $v6_1_instances title 'v6.1, before eventfs' with linespoints ls 3, \
     $stock_instances title 'stock' with linespoints ls 2, \
     $eventfs_instances title 'this eventfs' with linespoints ls 1, \
     $v6_1_instances every ::2 using 1:2:(figure($2)) notitle with labels left offset 0.8,0 textcolor rgb grey, \
     $stock_instances every ::2 using 1:2:(figure($2)) notitle with labels left offset 0.8,0 textcolor rgb grey, \
     $eventfs_instances every ::2 using 1:2:(figure($2)) notitle with labels left offset 0.8,0 textcolor rgb grey

unset label 1
set key left top
set xtics autofreq
set xlabel 'directories of events'
set xrange [80:25000]
set yrange [*:*]
set ylabel 'instructions'

set title 'first lookup of a name'
plot $stock_first_stat title 'stock' with linespoints ls 2, \
     $eventfs_first_stat title 'this eventfs' with linespoints ls 1
set title 'lookup of a missing name'
plot $stock_miss_distinct title 'stock' with linespoints ls 2, \
     $eventfs_miss_distinct title 'this eventfs' with linespoints ls 1
set title 'listing of an entry, buffer of 280 bytes'
plot $stock_list_280_bytes title 'stock' with linespoints ls 2, \
     $eventfs_list_280_bytes title 'this eventfs' with linespoints ls 1
set yrange [100:10000]
set title 'creation of a directory'
plot $stock_create title 'stock' with linespoints ls 2, \
     $eventfs_create title 'this eventfs' with linespoints ls 1
set yrange [1000:100000]
set title 'removal of a directory, all cached'
plot $stock_remove_warm title 'stock' with linespoints ls 2, \
     $eventfs_remove_warm title 'this eventfs' with linespoints ls 1
unset multiplot
