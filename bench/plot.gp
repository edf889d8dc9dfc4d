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

# Three bars, each with its figure above it
set style fill solid border
set boxwidth 0.6
set xrange [-0.6:2.6]
set yrange [0:6000]
set xtics ('v6.1, before eventfs' 0, 'stock' 1, 'this eventfs' 2) scale 0 font ',10'
set ylabel 'KiB of slab'
set title 'memory that an instance takes'
plot for [i=0:2] $instance every ::i::i using 1:2 notitle with boxes linestyle (3 - i), \
     $instance using 1:2:2 notitle with labels offset 0,0.8 textcolor rgb grey

unset label 1
set xtics autofreq scale 1 font ',12'
set logscale xy
set format y '%.0s%c'
set format x '%.0s%c'
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
