import { Button, Group, Loader, Stack, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import * as api from '../api/calls';
import { TimeAgo } from '../parts/TimeAgo';
import { useText } from '../text/TextProvider';

/** What one watches elsewhere, each with the way to watch here instead. */
export function RunningElsewhere({ take }: { take: (view: string) => void }) {
  const { t } = useText();
  const query = useQuery({ queryKey: ['counted-views'], queryFn: api.countedViews, staleTime: 0, gcTime: 0 });
  if (query.isPending) return <Loader color="white" size="sm" />;
  return (
    <Stack gap="xs" w="100%" component="ul" className="player-elsewhere">
      {(query.data ?? []).map((running) => (
        <Group key={running.view} component="li" justify="space-between" wrap="nowrap">
          <Text size="sm" lineClamp={2}>
            {running.title ?? t('player.untitled')} · <TimeAgo ms={running.started_ms} />
          </Text>
          <Button size="xs" variant="white" color="dark" onClick={() => take(running.view)} style={{ flexShrink: 0 }}>
            {t('player.insteadOf')}
          </Button>
        </Group>
      ))}
    </Stack>
  );
}
