import { Button, Stack, Text } from '@mantine/core';
import { Problem } from '../api/client';
import { useProblemText } from '../parts/problemText';
import { useText } from '../text/TextProvider';
import type { TextKey } from '../text/t';
import type { PlayerFault } from './hls';
import { RunningElsewhere } from './RunningElsewhere';

interface Props {
  fault: PlayerFault;
  problem: unknown;
  again: (inPlaceOf?: string) => void;
}

/** Why it does not play and what to do about it, in place of the controls. */
export function FaultScreen(props: Props) {
  const { t } = useText();
  const problemText = useProblemText();
  const code = props.problem instanceof Problem ? props.problem.code : undefined;
  const title = code === 'too_many_views' || code === 'view_ended' ? `fault.${code}` : `fault.${props.fault}`;
  return (
    <div className="player-centre player-fault" role="alert">
      <Stack align="center" gap="sm" p="md" maw={440}>
        <Text fw={650} size="lg" ta="center">
          {t(title as TextKey)}
        </Text>
        <Text size="sm" ta="center">
          {props.problem ? problemText(props.problem) : t(`fault.${props.fault}.help` as TextKey)}
        </Text>
        {code === 'too_many_views' && <RunningElsewhere take={props.again} />}
        <Button variant="white" color="dark" onClick={() => props.again()}>
          {t('action.retry')}
        </Button>
      </Stack>
    </div>
  );
}
