-- The ID that Sequence's dialect gives each send of an event, a UUIDv7. send_id is the one that was
-- answered; the nil UUID stands for an event that was sent in another dialect, or stored before.
-- Such an event's id is made of its version: the append time in milliseconds, what the version
-- counts within one, and 54 bits of who it is. So it is the same at each read, and another when the
-- event is sent again. A contract: pages and people hold on to these IDs.
--
-- UUIDs compare by their second half: order by toUInt128(id), which is the order of their texts.
ALTER TABLE events ADD COLUMN IF NOT EXISTS send_id UUID;

ALTER TABLE events ADD COLUMN IF NOT EXISTS id UUID ALIAS if(
    send_id != toUUID('00000000-0000-0000-0000-000000000000'),
    send_id,
    reinterpretAsUUID(bitOr(
        bitShiftLeft(toUInt128(bitOr(
            bitOr(toUInt64(0x8000000000000000), bitShiftLeft(bitAnd(version, 0xFF), 54)),
            bitShiftRight(sipHash64(tenant, event_id), 10))), 64),
        toUInt128(bitOr(
            bitOr(bitShiftLeft(bitShiftRight(version, 20), 16), toUInt64(0x7000)),
            bitAnd(bitShiftRight(version, 8), 0xFFF))))));
