"""Faust's Kafka consumer, with the two things that it does not offer."""

import logging
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.transports import ConsumerT

FETCH_BYTES: Final = 256 * 1024
FETCH_WAIT_MS: Final = 400
"""A fetch is answered when there are FETCH_BYTES, or after this time.

A fetch for each event as it comes costs three times the CPU of everything else that is done with the event, here
and again in the broker, and charges are in no hurry.
"""


QUIET: Final = logging.getLogger("faust.penstock")
"""Faust's services tell of every start and stop, under the name of the module that a class is from."""


class _Thread(driver.AIOKafkaConsumerThread):
    logger = QUIET

    def _create_worker_consumer(self, transport: driver.Transport) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Faust passes no such setting on; both are read when the consumer starts.
        consumer._fetch_min_bytes = FETCH_BYTES
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        return consumer

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Faust leaves out partitions that a rebalance took, and crashes when that leaves none."""
        return bool(self.assignment().intersection(offsets)) and await super()._commit(offsets)


class Consumer(driver.Consumer):
    logger = QUIET

    def _new_consumer_thread(self) -> driver.AIOKafkaConsumerThread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)

    async def commit_offsets(self, offsets: Mapping[TP, int]) -> bool:
        """Commit these, whatever Faust believes has been acknowledged; False when a rebalance came first."""
        return await self._commit(offsets)


class Transport(driver.Transport):
    Consumer: ClassVar[type[ConsumerT]] = Consumer
