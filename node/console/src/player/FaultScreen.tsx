import { Button, Stack, Text } from '@mantine/core';
import { useProblemText } from '../parts/problemText';
import { useText } from '../text/TextProvider';
import type { TextKey } from '../text/t';
import type { PlayerFault } from './hls';

/** Why it does not play and what to do about it, in place of the controls. */
export function FaultScreen(props: { fault: PlayerFault; problem: unknown; again: () => void }) {
  const { t } = useText();
  const problemText = useProblemText();
  return (
    <div className="player-centre player-fault" role="alert">
      <Stack align="center" gap="sm" p="md" maw={440}>
        <Text fw={650} size="lg" ta="center">
          {t(`fault.${props.fault}` as TextKey)}
        </Text>
        <Text size="sm" ta="center">
          {props.problem ? problemText(props.problem) : t(`fault.${props.fault}.help` as TextKey)}
        </Text>
        <Button variant="white" color="dark" onClick={props.again}>
          {t('action.retry')}
        </Button>
      </Stack>
    </div>
  );
}
